// Rig is Istio's own control plane as a test program, without Kubernetes.
//
//	rig serve [-listen ADDRESS] [-mesh FILE] [-ambient] DIRECTORY
//	rig check [-crds FILE]... FILE...
//	rig xds   [-server ADDRESS] -node ID [-metadata JSON] TYPE
//
// What istiod does around it is left out: certificates, webhooks, injection, leader election.
package main

import (
	"fmt"
	"io"
	"os"
)

// A command runs with its own arguments, writes what was asked for to out, and returns an error if
// the program has to end with a failure.
type command func(arguments []string, out io.Writer) error

var commands = map[string]command{
	"serve": serve,
	"check": check,
	"xds":   xdsOf,
}

const usage = "usage: rig serve|check|xds [flags] ARGUMENT...; each command explains its flags with -help"

func main() {
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
	if err := commands[os.Args[1]](os.Args[2:], os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "rig: %v\n", err)
		os.Exit(1)
	}
}
