package main

import (
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/signal"
	"slices"
	"syscall"

	meshconfig "istio.io/api/mesh/v1alpha1"
	"istio.io/istio/pilot/pkg/features"
	"istio.io/istio/pilot/test/xds"
	"istio.io/istio/pkg/config/mesh"
)

// serve answers ADS over plaintext for the objects of a directory until it is stopped. SIGHUP makes
// it read the directory again and push what has changed, as a cluster does after `kubectl apply`.
//
// It prints a line when it serves, and one after each SIGHUP.
func serve(arguments []string, out io.Writer) error {
	flags := flag.NewFlagSet("serve", flag.ExitOnError)
	listen := flags.String("listen", "127.0.0.1:15010", "the address for ADS")
	meshFile := flags.String("mesh", "", "a file with a MeshConfig")
	ambient := flags.Bool("ambient", false, "also serve waypoints")
	_ = flags.Parse(arguments)
	if flags.NArg() != 1 {
		return fmt.Errorf("serve: expected one directory, found %d", flags.NArg())
	}
	directory := flags.Arg(0)
	served, err := parseMesh(directory, *ambient)
	if err != nil {
		return err
	}
	meshConfig, err := readMeshConfig(*meshFile)
	if err != nil {
		return err
	}

	// Only Istio's build of Envoy has these two filters.
	features.ALPNFilter, features.MetadataExchange = false, false
	features.EnableAmbient = *ambient

	server := xds.NewFakeDiscoveryServer(failer{}, xds.FakeOptions{
		Configs:           slices.Collect(maps.Values(served.Istio)),
		KubernetesObjects: slices.Collect(maps.Values(served.Kubernetes)),
		MeshConfig:        meshConfig,
		ListenerBuilder:   func() (net.Listener, error) { return net.Listen("tcp", *listen) },
	})
	fmt.Fprintf(out, "rig: ADS on %s, %d objects\n", server.Listener.Addr(), len(served.Texts))

	again := make(chan os.Signal, 1)
	signal.Notify(again, syscall.SIGHUP)
	for range again {
		wanted, err := parseMesh(directory, *ambient)
		if err == nil {
			err = apply(server, served, wanted)
		}
		if err != nil {
			fmt.Fprintf(out, "rig: not applied: %v\n", err)
			continue
		}
		served = wanted
		fmt.Fprintf(out, "rig: applied, %d objects\n", len(served.Texts))
	}
	return nil
}

// readMeshConfig reads a MeshConfig and fills in Istio's defaults. Without a file only mTLS is not
// as it is in Istio: Envoy has no certificates here.
func readMeshConfig(file string) (*meshconfig.MeshConfig, error) {
	text := []byte("enableAutoMtls: false\n")
	if file != "" {
		var err error
		if text, err = os.ReadFile(file); err != nil {
			return nil, err
		}
	}
	return mesh.ApplyMeshConfigDefaults(string(text))
}
