package main

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	istiocrd "istio.io/istio/pilot/pkg/config/kube/crd"
	"istio.io/istio/pkg/config"
	"istio.io/istio/pkg/config/schema/collections"
	"istio.io/istio/pkg/config/schema/resource"
	kubelib "istio.io/istio/pkg/kube"
)

// Mesh is what the control plane knows: Istio's objects, and Kubernetes' (the Gateway API's too).
type Mesh struct {
	Istio      map[string]config.Config
	Kubernetes map[string]runtime.Object
	// Texts of all objects, by the same keys, to tell whether one has changed.
	Texts map[string]string
}

// parseMesh reads a directory. An object that is there twice is an error, as it would be one of two
// files that undo each other.
//
// Ambient mode's part of istiod reads Istio's objects from Kubernetes, the rest of it from a store of
// its own: with `ambient` they are in both.
func parseMesh(directory string, ambient bool) (*Mesh, error) {
	documents, err := readDirectory(directory)
	if err != nil {
		return nil, err
	}
	mesh := &Mesh{
		Istio:      map[string]config.Config{},
		Kubernetes: map[string]runtime.Object{},
		Texts:      map[string]string{},
	}
	for _, document := range documents {
		key := document.Kind + " " + document.Name
		if _, twice := mesh.Texts[key]; twice {
			return nil, fmt.Errorf("%s: there is another %s", document.Source, key)
		}
		mesh.Texts[key] = document.Text
		if document.Istio() {
			if mesh.Istio[key], err = istioConfig(document); err != nil {
				return nil, fmt.Errorf("%s: %w", document.Source, err)
			}
		}
		if ambient || !document.Istio() {
			if mesh.Kubernetes[key], err = kubernetesObject(document); err != nil {
				return nil, fmt.Errorf("%s: %w", document.Source, err)
			}
		}
	}
	return mesh, nil
}

// istioConfig does not validate: the API server and the webhook do, and `rig check` in their place.
func istioConfig(document Document) (config.Config, error) {
	var object istiocrd.IstioKind
	if err := yaml.Unmarshal([]byte(document.Text), &object); err != nil {
		return config.Config{}, err
	}
	gvk := object.GroupVersionKind()
	schema, found := collections.Pilot.FindByGroupVersionAliasesKind(resource.FromKubernetesGVK(&gvk))
	if !found {
		return config.Config{}, fmt.Errorf("istiod reads no %s", gvk)
	}
	converted, err := istiocrd.ConvertObject(schema, &object, "cluster.local")
	if err != nil {
		return config.Config{}, err
	}
	return *converted, nil
}

func kubernetesObject(document Document) (runtime.Object, error) {
	object, _, err := kubelib.IstioCodec.UniversalDeserializer().Decode([]byte(document.Text), nil, nil)
	return object, err
}
