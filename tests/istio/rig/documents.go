package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"sigs.k8s.io/yaml"
)

// Document is one YAML document of a file that holds a Kubernetes object.
type Document struct {
	// Source is the file and the document's place in it, from 0, as in "filter.yaml#1".
	Source string
	Text   string
	Group  string
	Kind   string
	// Name is "NAMESPACE/NAME", or just the name.
	Name string
}

// Istio tells whether the document is of one of Istio's own kinds.
func (d Document) Istio() bool {
	return strings.HasSuffix(d.Group, ".istio.io")
}

var separator = regexp.MustCompile(`(?m)^---[ \t]*(#.*)?$`)

// parseDocuments splits a file's text and leaves out documents without content.
func parseDocuments(source, text string) ([]Document, error) {
	var found []Document
	for i, part := range separator.Split(text, -1) {
		var head struct {
			APIVersion string `json:"apiVersion"`
			Kind       string `json:"kind"`
			Metadata   struct {
				Name      string `json:"name"`
				Namespace string `json:"namespace"`
			} `json:"metadata"`
		}
		place := fmt.Sprintf("%s#%d", source, i)
		var content any
		if err := yaml.Unmarshal([]byte(part), &content); err != nil {
			return nil, fmt.Errorf("%s: %w", place, err)
		}
		if content == nil {
			continue
		}
		if err := yaml.Unmarshal([]byte(part), &head); err != nil {
			return nil, fmt.Errorf("%s: %w", place, err)
		}
		if head.APIVersion == "" || head.Kind == "" {
			return nil, fmt.Errorf("%s: expected a Kubernetes object, found no apiVersion or no kind", place)
		}
		group, _, grouped := strings.Cut(head.APIVersion, "/")
		if !grouped {
			group = ""
		}
		name := head.Metadata.Name
		if head.Metadata.Namespace != "" {
			name = head.Metadata.Namespace + "/" + name
		}
		found = append(found, Document{Source: place, Text: part, Group: group, Kind: head.Kind, Name: name})
	}
	return found, nil
}

func readDocuments(file string) ([]Document, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return parseDocuments(file, string(text))
}

// readDirectory reads every YAML file of a directory, in the order of their names. Kustomizations
// are for kubectl, not for a cluster, and are left out.
func readDirectory(directory string) ([]Document, error) {
	files, err := filepath.Glob(filepath.Join(directory, "*.yaml"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s: expected files named *.yaml, found none", directory)
	}
	var found []Document
	for _, file := range files {
		documents, err := readDocuments(file)
		if err != nil {
			return nil, err
		}
		for _, document := range documents {
			if document.Group != "kustomize.config.k8s.io" {
				found = append(found, document)
			}
		}
	}
	return found, nil
}
