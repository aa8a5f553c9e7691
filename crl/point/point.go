// Package point writes revocation lists, and the authority's certificates beside them, to the places where relying parties
// look: folders, FTP servers, S3-compatible stores and LDAP directories. One file per kind of place.
//
// It owns how each kind of place is written so that a reader finds the old file or the new one, never a part and never
// nothing, and the rule of what may replace what: a newer list is never replaced by an older one, and no authority's by
// another's. It does not make lists (package list), nor decide when and how often to try (package crl), and what the world
// sees of a place it does not judge: that is for package fetch, over the address that certificates carry.
package point

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"io"
	"regexp"

	"github.com/sealpost/sealpost/crl/list"
	"github.com/sealpost/sealpost/internal/fault"
)

// Faults that callers test for, besides list.ErrNewer and list.ErrForeign. Their details say what the place answered.
var (
	// ErrUnreachable is a place that does not answer, or not in time.
	ErrUnreachable = fault.New(fault.Unavailable, "point-unreachable", "The distribution point does not answer.")
	// ErrRefused is for an operator to mend: rights, passwords, names in the configuration.
	ErrRefused = fault.New(fault.Unavailable, "point-refuses", "The distribution point does not let Sealpost do this.")
	// ErrFull is a place without room.
	ErrFull = fault.New(fault.Unavailable, "point-full", "The distribution point has no room left.")
	// ErrAbsent is a place that has no such file.
	ErrAbsent = fault.New(fault.NotFound, "point-empty", "The distribution point has no such file.")
	// ErrFile is a file that is not what its description says, or cannot be published in such a place.
	ErrFile = fault.New(fault.Malformed, "point-file", "This cannot be published.")
)

// MaxSize is the size of the largest file that is published, in bytes. Directories have a smaller limit of their own.
const MaxSize = 128 << 20

// Kind is what a file is.
type Kind string

// The kinds of files.
const (
	Full        Kind = "full"        // a complete list, of all certificates or of a partition
	Delta       Kind = "delta"       // what has changed since a complete list
	Certificate Kind = "certificate" // the authority's certificate, DER
	Bundle      Kind = "bundle"      // certificates of the authority and those above it, CMS certs-only
)

// media are the types of RFC 2585 section 4 and RFC 8551 section 3.2.
var media = map[Kind]string{
	Full: "application/pkix-crl", Delta: "application/pkix-crl", Certificate: "application/pkix-cert",
	Bundle: "application/pkcs7-mime; smime-type=certs-only",
}

// File is what a place is to show.
type File struct {
	Name      string // "issuing.crl", "issuing-delta.crl", "issuing-3.crl", "issuing.cer", "issuing.p7c"
	Kind      Kind
	Partition string // "3": a list of one partition; "": of all certificates
	Size      int64  // bytes
	SHA256    [sha256.Size]byte

	// Head is what the list says; nil for certificates and bundles. Issuer is the certificate of the key that signed it:
	// what the place shows under the issuer's name, but not by its signature, was tampered with and is replaced.
	Head   *list.Head
	Issuer *x509.Certificate

	Open func() io.ReadSeeker // the content, from its first byte; any number of times
}

// Point is a place. Its methods are safe for concurrent use, and end when ctx does.
type Point interface {
	// Put makes the place show f, in one step for readers. It never replaces a newer list (list.ErrNewer) or another
	// authority's (list.ErrForeign). What cannot be read there as a list, being cut off or tampered with, is replaced. If the
	// same bytes are there, nothing is written. The caller holds the place's lock among servers: not every kind of place can
	// itself tell two writers apart.
	Put(ctx context.Context, f File) error
	// Get reads what the place itself shows under f's name, or returns ErrAbsent.
	Get(ctx context.Context, f File) (io.ReadCloser, error)
}

var fileName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// check returns ErrFile for a file that no place takes.
func (f File) check() error {
	if err := f.checkName(); err != nil {
		return err
	}
	switch {
	case media[f.Kind] == "" || f.Open == nil || f.isList() && f.Head == nil:
		return ErrFile.Withf("The description of %s is not complete.", f.Name)
	case f.Size <= 0 || f.Size > MaxSize:
		return ErrFile.Withf("%s has %d bytes; a published file has between 1 and %d.", f.Name, f.Size, MaxSize)
	}
	return nil
}

func (f File) checkName() error {
	if !fileName.MatchString(f.Name) {
		return ErrFile.Withf("%q is no name for a published file: use letters, digits, dots, hyphens and underscores.", f.Name)
	}
	return nil
}

func (f File) isList() bool { return f.Kind == Full || f.Kind == Delta }

// reader reads the content, and fails at its end if it is not what the description says.
func (f File) reader() io.Reader { return f.checked(f.Open()) }

func (f File) checked(in io.Reader) io.Reader {
	hash := sha256.New()
	return &checked{in: io.TeeReader(in, hash), file: f, sum: func() []byte { return hash.Sum(nil) }}
}

type checked struct {
	in   io.Reader
	file File
	sum  func() []byte
	n    int64
}

func (c *checked) Read(b []byte) (int, error) {
	n, err := c.in.Read(b)
	c.n += int64(n)
	switch {
	case c.n > c.file.Size, errors.Is(err, io.EOF) && (c.n != c.file.Size || !bytes.Equal(c.sum(), c.file.SHA256[:])):
		return 0, ErrFile.Withf("The content of %s is not what was to be published. Nothing was replaced.", c.file.Name)
	}
	return n, err
}

// verify reads the content once before it is sent to places where a sending that ends in the middle leaves something, or
// makes the other side complain first.
func (f File) verify() error {
	_, err := io.Copy(io.Discard, f.reader())
	return err
}

// bytes returns the content of a file that is small, or must be in one piece.
func (f File) bytes(most int64) ([]byte, error) {
	if f.Size > most {
		return nil, ErrFile.Withf("%s has %d bytes, more than the %d that fit into a distribution point of this kind.", f.Name, f.Size, most)
	}
	return io.ReadAll(f.reader())
}

// judge returns nil if f may take the place of what there holds, list.ErrSame if it is there already, and list.ErrNewer or
// list.ErrForeign if it must stay. Errors of there are returned as they are.
func (f File) judge(there io.Reader) error {
	in := &source{in: io.LimitReader(there, MaxSize+1)}
	if !f.isList() {
		return f.judgeCertificates(in)
	}
	old, err := list.Read(in, nil)
	if in.err != nil {
		return in.err
	}
	if errors.Is(err, list.ErrList) {
		return nil
	}
	if err != nil {
		return err
	}
	if old.SHA256 == f.SHA256 && old.Size == f.Size {
		return list.ErrSame
	}
	err = f.Head.Supersedes(old)
	if err != nil && f.Issuer != nil && bytes.Equal(old.Issuer, f.Head.Issuer) && bytes.Equal(old.AuthorityKeyID, f.Head.AuthorityKeyID) && old.Verify(f.Issuer) != nil {
		return nil // it says that it is ours, and is not
	}
	if errors.Is(err, list.ErrSame) { // by its number, but not its bytes
		return list.ErrNewer
	}
	return err
}

// source remembers an error of what it reads: an end that a network made must not be taken for the end of a file.
type source struct {
	in  io.Reader
	err error
}

func (s *source) Read(b []byte) (int, error) {
	n, err := s.in.Read(b)
	if err != nil && err != io.EOF { // exactly the end, not an error that has one for its cause
		s.err = err
	}
	return n, err
}

// judgeCertificates is judge for certificates and bundles.
func (f File) judgeCertificates(there *source) error {
	hash := sha256.New()
	const most = 1 << 20 // far more than certificates have
	old, err := io.ReadAll(io.LimitReader(io.TeeReader(there, hash), most))
	if err != nil {
		return err
	}
	if bytes.Equal(hash.Sum(nil), f.SHA256[:]) {
		return list.ErrSame
	}
	before, err := x509.ParseCertificate(old)
	if err != nil || f.Kind != Certificate {
		return nil
	}
	content, err := f.bytes(most)
	if err != nil {
		return err
	}
	now, err := x509.ParseCertificate(content)
	switch {
	case err != nil:
		return ErrFile.Withf("%s is no certificate.", f.Name).Because(err)
	case !bytes.Equal(before.RawSubject, now.RawSubject):
		return list.ErrForeign.Withf("There is another authority's certificate in the place of %s. It was not touched.", f.Name)
	case before.NotBefore.After(now.NotBefore):
		return list.ErrNewer.Withf("There is a newer certificate in the place of %s. It was not touched.", f.Name)
	}
	return nil
}
