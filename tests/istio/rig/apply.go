package main

import (
	"context"
	"fmt"

	discovery "k8s.io/api/discovery/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"istio.io/istio/pilot/test/xds"
)

// apply turns what is served into what is wanted, object by object.
//
// Of Kubernetes' kinds only an EndpointSlice may come, change and go: it is what pods do. Everything
// else needs a new start, since Istio's fake of a cluster holds it in more than one place.
func apply(server *xds.FakeDiscoveryServer, served, wanted *Mesh) error {
	for key, text := range wanted.Texts {
		former, there := served.Texts[key]
		if there && former == text {
			continue
		}
		if err := put(server, wanted, key, there); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	for key := range served.Texts {
		if _, stays := wanted.Texts[key]; stays {
			continue
		}
		if err := remove(server, served, key); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	return nil
}

func put(server *xds.FakeDiscoveryServer, wanted *Mesh, key string, there bool) error {
	if config, istio := wanted.Istio[key]; istio {
		if there {
			_, err := server.Store().Update(config)
			return err
		}
		_, err := server.Store().Create(config)
		return err
	}
	slice, err := endpointSlice(wanted, key)
	if err != nil {
		return err
	}
	slices := server.KubeClient().Kube().DiscoveryV1().EndpointSlices(slice.Namespace)
	if there {
		_, err = slices.Update(context.Background(), slice, meta.UpdateOptions{})
	} else {
		_, err = slices.Create(context.Background(), slice, meta.CreateOptions{})
	}
	return err
}

func remove(server *xds.FakeDiscoveryServer, served *Mesh, key string) error {
	if config, istio := served.Istio[key]; istio {
		return server.Store().Delete(config.GroupVersionKind, config.Name, config.Namespace, nil)
	}
	slice, err := endpointSlice(served, key)
	if err != nil {
		return err
	}
	slices := server.KubeClient().Kube().DiscoveryV1().EndpointSlices(slice.Namespace)
	return slices.Delete(context.Background(), slice.Name, meta.DeleteOptions{})
}

func endpointSlice(mesh *Mesh, key string) (*discovery.EndpointSlice, error) {
	slice, ok := mesh.Kubernetes[key].(*discovery.EndpointSlice)
	if !ok {
		return nil, fmt.Errorf("only Istio's kinds and EndpointSlice can change while the rig serves")
	}
	return slice, nil
}
