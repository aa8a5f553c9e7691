//go:build !windows

package tpm

import "github.com/google/go-tpm/tpm2/transport"

// system is the TPM by way of the kernel's resource manager, which keeps programs out of each other's slots.
const system = "/dev/tpmrm0"

func openSystem() (transport.TPMCloser, error) { return openDevice(system) }
