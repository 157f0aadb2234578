package main

import (
	"strings"
	"testing"
)

func TestDocumentsAreSplitAndNamed(t *testing.T) {
	text := `# A comment.
apiVersion: v1
kind: Service
metadata: {name: a, namespace: b}
--- # another
---
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: c}
`
	found, err := parseDocuments("x.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 2 {
		t.Fatalf("expected two documents, found %v", found)
	}
	service, plugin := found[0], found[1]
	if service.Group != "" || service.Kind != "Service" || service.Name != "b/a" || service.Istio() {
		t.Errorf("the Service is %+v", service)
	}
	if plugin.Source != "x.yaml#2" || plugin.Name != "c" || !plugin.Istio() {
		t.Errorf("the WasmPlugin is %+v", plugin)
	}
}

func TestWhatIsNoObjectIsRefusedWithItsPlace(t *testing.T) {
	for _, text := range []string{"a: b\n", "kind: Service\n", "- a\n", "\tb: c\n"} {
		_, err := parseDocuments("x.yaml", text)
		if err == nil || !strings.Contains(err.Error(), "x.yaml#0") {
			t.Errorf("%q: expected an error that names x.yaml#0, found %v", text, err)
		}
	}
}
