package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const plugin = `apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: a, namespace: b}
spec:
  url: https://example.com/a.wasm
`

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "x.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestManifestsAreCheckedByEachOfTheRules(t *testing.T) {
	for name, test := range map[string]struct{ text, verdict string }{
		"good":              {plugin, "b/a: ok\n1 checked, 0 wrong"},
		"Kubernetes' own":   {"apiVersion: v1\nkind: Service\n", "0 checked, 0 wrong"},
		"schema":            {plugin + "  phase: FIRST\n", "schema: "},
		"unknown key":       {plugin + "  phases: AUTHN\n", "unknown fields [spec.phases]"},
		"CEL":               {strings.Replace(plugin, "https", "ftp", 1), "schema: "},
		"validation":        {plugin + "  pluginConfig: {a: 1}\n  selector: {matchLabels: {'*': a}}\n", "b/a: "},
		"unknown kind":      {strings.Replace(plugin, "WasmPlugin", "WasmPlug", 1), "no validator found"},
		"misspelt group":    {strings.Replace(plugin, "extensions", "extension", 1), "no validator found"},
		"Envoy's own typo":  {strings.Replace(envoyFilter, "root_id", "root_idd", 1), "unknown field"},
		"good EnvoyFilter":  {envoyFilter, "b/a: ok"},
		"unknown operation": {strings.Replace(envoyFilter, "ADD", "AD", 1), "schema: "},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			err := check([]string{write(t, test.text)}, &out)
			if !strings.Contains(out.String(), test.verdict) {
				t.Errorf("expected %q in the verdict, found %q", test.verdict, out.String())
			}
			if good := strings.Contains(out.String(), " 0 wrong"); good != (err == nil) {
				t.Errorf("the verdict is %q and the error %v", out.String(), err)
			}
		})
	}
}

const envoyFilter = `apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: a, namespace: b}
spec:
  configPatches:
    - applyTo: EXTENSION_CONFIG
      match: {context: SIDECAR_INBOUND}
      patch:
        operation: ADD
        value:
          name: a
          typed_config:
            "@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
            config: {name: a, root_id: a}
`

func TestOtherCRDsCanBeAdded(t *testing.T) {
	crd := write(t, `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: things, singular: thing, kind: Thing, listKind: ThingList}
  versions:
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          properties: {spec: {type: object, properties: {size: {type: integer}}}}
`)
	for size, verdict := range map[string]string{"1": ": ok", "x": "schema: "} {
		var out strings.Builder
		thing := "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: a}\nspec: {size: " + size + "}\n"
		_ = check([]string{"-crds", crd, write(t, thing)}, &out)
		if !strings.Contains(out.String(), verdict) {
			t.Errorf("size %s: expected %q, found %q", size, verdict, out.String())
		}
	}
}
