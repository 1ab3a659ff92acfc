//go:build !linux

package storetest

import "syscall"

// dieWithParent has no counterpart here: a killed supervisor leaves its server running until someone ends it.
func dieWithParent(*syscall.SysProcAttr) {}
