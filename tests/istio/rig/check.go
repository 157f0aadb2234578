package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/go-multierror"
	"istio.io/istio/manifests"
	istiocrd "istio.io/istio/pilot/pkg/config/kube/crd"
	"istio.io/istio/pkg/config/crd"
	"istio.io/istio/pkg/config/schema/collections"
	"istio.io/istio/pkg/config/schema/resource"
	"sigs.k8s.io/yaml"
)

const istioCRDs = "charts/base/files/crd-all.gen.yaml"

// Files collects the values of a flag that may be given several times.
type Files []string

func (f *Files) String() string         { return strings.Join(*f, " ") }
func (f *Files) Set(value string) error { *f = append(*f, value); return nil }

// check holds manifests against the schemas and CEL rules of their CRDs, as an API server does, and
// Istio's kinds against the validation of its webhook, warnings included.
//
// Kinds without a CRD, such as Kubernetes' own, are not looked at.
func check(arguments []string, out io.Writer) error {
	flags := flag.NewFlagSet("check", flag.ExitOnError)
	var more Files
	flags.Var(&more, "crds", "a file with CRDs beside Istio's own; may be given several times")
	_ = flags.Parse(arguments)
	if flags.NArg() == 0 {
		return fmt.Errorf("check: expected files, found none")
	}
	checker, err := newChecker(more)
	if err != nil {
		return err
	}
	var checked, wrong int
	for _, file := range flags.Args() {
		documents, err := readDocuments(file)
		if err != nil {
			return err
		}
		for _, document := range documents {
			if !checker.knows(document) {
				continue
			}
			checked++
			verdict := "ok"
			if err := checker.check(document); err != nil {
				wrong++
				// On one line, since each line is one verdict.
				verdict = strings.Join(strings.Fields(err.Error()), " ")
			}
			fmt.Fprintf(out, "%s %s %s: %s\n", document.Source, document.Kind, document.Name, verdict)
		}
	}
	fmt.Fprintf(out, "%d checked, %d wrong\n", checked, wrong)
	if wrong > 0 {
		return fmt.Errorf("%d of %d are wrong", wrong, checked)
	}
	return nil
}

// A checker holds the CRDs.
type checker struct {
	schemas *crd.Validator
	groups  map[string]bool
}

func newChecker(more []string) (*checker, error) {
	text, err := manifests.FS.ReadFile(istioCRDs)
	if err != nil {
		return nil, err
	}
	directory, err := os.MkdirTemp("", "crds")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(directory)
	own := filepath.Join(directory, "istio.yaml")
	if err := os.WriteFile(own, text, 0o600); err != nil {
		return nil, err
	}
	files := append([]string{own}, more...)
	groups := map[string]bool{}
	for _, file := range files {
		if err := addGroups(groups, file); err != nil {
			return nil, err
		}
	}
	schemas, err := crd.NewValidatorFromFilesWithOptions(files, crd.WithoutCRDValidation())
	if err != nil {
		return nil, err
	}
	return &checker{schemas: schemas, groups: groups}, nil
}

// addGroups adds the API groups of a file's CRDs.
func addGroups(groups map[string]bool, file string) error {
	documents, err := readDocuments(file)
	if err != nil {
		return err
	}
	for _, document := range documents {
		var definition struct {
			Spec struct {
				Group string `json:"group"`
			} `json:"spec"`
		}
		if err := yaml.Unmarshal([]byte(document.Text), &definition); err != nil {
			return fmt.Errorf("%s: %w", document.Source, err)
		}
		if document.Kind == "CustomResourceDefinition" {
			groups[definition.Spec.Group] = true
		}
	}
	return nil
}

// knows tells whether there have to be CRDs for the document's group. A kind or a version that the
// group does not have is then an error, and so is a misspelt group of Istio.
func (c *checker) knows(document Document) bool {
	return c.groups[document.Group] || document.Istio()
}

func (c *checker) check(document Document) error {
	if err := c.schemas.ValidateCustomResourceYAML(document.Text, nil); err != nil {
		return fmt.Errorf("schema: %w", err)
	}
	if !document.Istio() {
		return nil
	}
	var object istiocrd.IstioKind
	if err := yaml.Unmarshal([]byte(document.Text), &object); err != nil {
		return err
	}
	gvk := object.GroupVersionKind()
	schema, found := collections.Pilot.FindByGroupVersionAliasesKind(resource.FromKubernetesGVK(&gvk))
	if !found {
		return fmt.Errorf("istiod reads no %s", gvk)
	}
	config, err := istiocrd.ConvertObject(schema, &object, "cluster.local")
	if err != nil {
		return fmt.Errorf("conversion: %w", err)
	}
	warning, err := schema.ValidateConfig(*config)
	if err != nil {
		return fmt.Errorf("validation: %w", err)
	}
	for _, one := range parts(warning) {
		if !strings.Contains(one.Error(), everyEnvoyFilter) {
			return fmt.Errorf("warning: %w", one)
		}
	}
	return nil
}

// everyEnvoyFilter is in the warning that Istio has for every EnvoyFilter, good or bad.
const everyEnvoyFilter = "EnvoyFilter exposes internal implementation details"

// parts returns the warnings that a warning is made of.
func parts(warning error) []error {
	var several *multierror.Error
	switch {
	case warning == nil:
		return nil
	case errors.As(warning, &several):
		return several.Errors
	default:
		return []error{warning}
	}
}
