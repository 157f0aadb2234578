# The filter's image, with a container engine. `make images` makes the same without one.
# The build context is the folder of the module, which `make filter` leaves in dist/:
#
#   docker build -f images/filter.Dockerfile -t spanmesh/filter dist
#
# One layer with one file of this name: the one layout that every version of Istio takes.

FROM scratch
COPY spanmesh-filter.wasm ./plugin.wasm
