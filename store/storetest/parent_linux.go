package storetest

import "syscall"

// dieWithParent ends the process when its supervisor is killed.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGQUIT }
