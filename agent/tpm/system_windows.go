package tpm

import (
	"github.com/google/go-tpm/tpm2/transport"
	"github.com/google/go-tpm/tpm2/transport/windowstpm"
)

// openSystem opens the TPM by way of Windows' TPM Base Services.
func openSystem() (transport.TPMCloser, error) {
	t, err := windowstpm.Open()
	if err != nil {
		return nil, ErrAbsent.Because(err)
	}
	return t, nil
}
