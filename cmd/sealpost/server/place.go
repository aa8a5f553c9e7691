package server

import (
	"bytes"
	"context"
	"io"

	"github.com/sealpost/sealpost/crl/point"
	"github.com/sealpost/sealpost/directory"
)

// entry shows an issuer's certificate and complete list in a directory entry.
type entry struct {
	directory   *directory.Directory
	dn          string
	certificate []byte
}

// Put implements point.Point.
func (e *entry) Put(ctx context.Context, f point.File) error {
	if f.Kind != point.Full || f.Partition != "" {
		return nil
	}
	b, err := io.ReadAll(f.Open())
	if err != nil {
		return err
	}
	return e.directory.PutAuthority(ctx, e.dn, e.certificate, b)
}

// Get implements point.Point.
func (e *entry) Get(ctx context.Context, f point.File) (io.ReadCloser, error) {
	a, err := e.directory.Authority(ctx, e.dn)
	if err != nil {
		return nil, err
	}
	values := a.CRLs
	if f.Kind == point.Certificate {
		values = a.Certificates
	}
	if len(values) != 1 {
		return nil, point.ErrAbsent
	}
	return io.NopCloser(bytes.NewReader(values[0])), nil
}
