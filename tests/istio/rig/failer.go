package main

import (
	"log"
	"os"
)

// A failer lets a program use what Istio made for its own tests: every failure ends the process.
// It satisfies `istio.io/istio/pkg/test.Failer`.
type failer struct{}

func (failer) Fail()                     { os.Exit(1) }
func (failer) FailNow()                  { os.Exit(1) }
func (failer) Fatal(a ...any)            { log.Fatal(a...) }
func (failer) Fatalf(f string, a ...any) { log.Fatalf(f, a...) }
func (failer) Log(a ...any)              { log.Print(a...) }
func (failer) Logf(f string, a ...any)   { log.Printf(f, a...) }
func (failer) TempDir() string           { return os.TempDir() }
func (failer) Helper()                   {}
func (failer) Skip(a ...any)             { log.Fatal(a...) }

// Cleanup does nothing: everything lives as long as the process.
func (failer) Cleanup(func()) {}
