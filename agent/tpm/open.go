package tpm

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-tpm/tpm2/transport"
)

// patience is how long a TPM may take for one use. Making an RSA key takes some of them a minute.
const patience = 3 * time.Minute

// busy is how long a simulator may be with somebody else.
const busy = 10 * time.Second

// open opens a TPM by its address.
func open(address string) (transport.TPMCloser, error) {
	network, rest, found := strings.Cut(address, ":")
	switch {
	case address == "":
		return openSystem()
	case found && (network == "unix" || network == "tcp"):
		return dial(network, rest)
	}
	return openDevice(address)
}

func openDevice(path string) (transport.TPMCloser, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, ErrAbsent.Withf("There is no TPM 2.0 here: %s does not exist.", path).Because(err)
	case errors.Is(err, fs.ErrPermission):
		return nil, ErrAbsent.Withf("This user may not use the TPM (%s). On Debian, the group tss may: have yourself added to it, and log in anew.", path).Because(err)
	case err != nil:
		return nil, ErrAbsent.Withf("The TPM (%s) does not answer.", path).Because(err)
	}
	return transport.FromReadWriteCloser(f), nil
}

func dial(network, address string) (transport.TPMCloser, error) {
	end := time.Now().Add(busy)
	c, err := net.DialTimeout(network, address, busy)
	for errors.Is(err, syscall.EAGAIN) && time.Now().Before(end) { // it serves one at a time, and its queue is short
		time.Sleep(10 * time.Millisecond)
		c, err = net.DialTimeout(network, address, busy)
	}
	if err != nil {
		return nil, ErrAbsent.Withf("There is no TPM at %s.", address).Because(err)
	}
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, ErrAbsent.Because(errors.Join(err, c.Close()))
	}
	return transport.FromReadWriteCloser(c), nil
}
