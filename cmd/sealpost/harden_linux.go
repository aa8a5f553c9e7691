package main

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// harden keeps the process's memory, which holds issuers' keys and for moments people's, out of core dumps and away from
// debuggers of the same user. Root can look all the same. Swap is the machine's to switch off or encrypt.
func harden() error {
	dump := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	core := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	if err := errors.Join(dump, core); err != nil {
		return fmt.Errorf("keep memory out of dumps: %w", err)
	}
	return nil
}
