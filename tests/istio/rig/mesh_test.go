package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func directory(t *testing.T, texts ...string) string {
	t.Helper()
	directory := t.TempDir()
	for i, text := range texts {
		name := filepath.Join(directory, string(rune('a'+i))+".yaml")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return directory
}

const service = "apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: b}\n"

func TestObjectsAreSortedByWhoReadsThem(t *testing.T) {
	kustomization := "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
	mesh, err := parseMesh(directory(t, plugin, service+"---\n"+kustomization), false)
	if err != nil {
		t.Fatal(err)
	}
	if len(mesh.Istio) != 1 || len(mesh.Kubernetes) != 1 || len(mesh.Texts) != 2 {
		t.Errorf("expected one of each, found %v", mesh)
	}
	if got := mesh.Istio["WasmPlugin b/a"]; got.Name != "a" || got.Namespace != "b" {
		t.Errorf("the plugin is %v", got)
	}
}

func TestAmbientModeFindsIstiosObjectsInKubernetesToo(t *testing.T) {
	mesh, err := parseMesh(directory(t, plugin, service), true)
	if err != nil {
		t.Fatal(err)
	}
	if len(mesh.Istio) != 1 || len(mesh.Kubernetes) != 2 {
		t.Errorf("expected the plugin in both, found %v", mesh)
	}
}

func TestADirectoryThatCannotBeServedIsRefused(t *testing.T) {
	for wanted, texts := range map[string][]string{
		"found none":                 {},
		"there is another Service b": {service, service},
		"istiod reads no":            {strings.Replace(plugin, "WasmPlugin", "WasmPlug", 1)},
		"no kind":                    {strings.Replace(service, "Service", "Servant", 1)},
	} {
		_, err := parseMesh(directory(t, texts...), false)
		if err == nil || !strings.Contains(err.Error(), wanted) {
			t.Errorf("expected %q in the error, found %v", wanted, err)
		}
	}
}
