package crl

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"strconv"
	"time"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/cms/bundle"
	"github.com/sealpost/sealpost/crl/list"
	"github.com/sealpost/sealpost/crl/point"
)

// published is a file as distribution points are to show it: the newest list of a kind, or what leads to the issuer.
type published struct {
	point.File
	issuer *ca.Issuer
	list   *List // nil: it is not a list
}

// number returns that of the list, or 0.
func (f *published) number() int64 {
	if f.list == nil {
		return 0
	}
	return f.list.Number
}

// fileNames returns the names of all files that an issuer publishes now.
func (p *Publisher) fileNames(ctx context.Context, i *ca.Issuer) ([]string, error) {
	names := certificateFiles(i)
	kinds, rows, err := p.kinds(ctx, i)
	for _, k := range kinds {
		if _, there := rows[k]; there {
			names = append(names, k.FileName(i.ID()))
		}
	}
	return names, err
}

// certificateFiles are the names of an issuer's files that are no lists.
func certificateFiles(i *ca.Issuer) []string {
	return []string{i.ID() + certificateSuffix, i.ID() + bundleSuffix}
}

// Files beside the lists: the issuer's certificate in DER, and all up to the root in one.
const (
	certificateSuffix = ".cer"
	bundleSuffix      = ".p7c"
)

// file returns what a file is to show now.
func (p *Publisher) file(ctx context.Context, i *ca.Issuer, name string) (*published, error) {
	f := &published{issuer: i}
	f.Name, f.Issuer = name, i.Certificate()
	switch name {
	case i.ID() + certificateSuffix:
		f.Kind = point.Certificate
		f.set(i.Certificate().Raw)
		return f, nil
	case i.ID() + bundleSuffix:
		der, err := bundle.Write(i.Chain())
		f.Kind = point.Bundle
		f.set(der)
		return f, err
	}
	issuer, k, ok := ParseFileName(name)
	if !ok || issuer != i.ID() {
		return nil, ErrNoList.Withf("There is no file %q of %s.", name, i.ID())
	}
	l, err := p.Find(ctx, issuer, k)
	if err != nil {
		return nil, err
	}
	f.list, f.Size, f.SHA256 = l, l.Size, l.SHA256
	f.Open = func() io.ReadSeeker { return l.Open() }
	f.Kind = point.Full
	if k.Delta {
		f.Kind = point.Delta
	}
	if k.Partition > 0 {
		f.Partition = strconv.Itoa(k.Partition)
	}
	f.Head, err = l.head()
	return f, err
}

func (f *published) set(content []byte) {
	f.Size, f.SHA256 = int64(len(content)), sha256.Sum256(content)
	f.Open = func() io.ReadSeeker { return bytes.NewReader(content) }
}

// seen is what was read back under a file's name.
type seen struct {
	shown bool       // a file of ours, if perhaps an old one
	head  *list.Head // nil: not a list of the issuer
}

// clockSkew is how far another server's clock may be ahead without anybody being told.
const clockSkew = 5 * time.Minute

// look reads what a point shows, compares it with what it should, and verifies it.
func (f *published) look(r io.Reader, now time.Time) (s seen, err error) {
	if f.list == nil {
		return f.compare(r)
	}
	head, err := list.Read(r, nil)
	if err == nil {
		err = head.Verify(f.issuer.Certificate())
	}
	if err != nil { // what it says of itself counts for nothing
		return s, err
	}
	s = seen{shown: true, head: head}
	switch number := head.Number; {
	case head.SHA256 == f.SHA256 && head.ThisUpdate.After(now.Add(clockSkew)):
		return s, ErrEarly.Withf("It shows the newest list, which is valid from %s only: a clock was or is wrong. Until then relying parties may refuse it.",
			head.ThisUpdate.Format(time.RFC3339))
	case head.SHA256 == f.SHA256:
		return s, nil
	case !bytes.Equal(head.Scope, f.Head.Scope) || head.Delta() != f.Head.Delta():
		return seen{}, ErrWrong.Withf("It shows a list of this issuer for other certificates.")
	case number == nil || !number.IsInt64():
		return s, ErrWrong.Withf("It shows a list without a number of ours.")
	case number.Int64() < f.list.Number:
		return s, ErrStale.Withf("It still shows list %d; the newest is %d.", number, f.list.Number)
	case number.Int64() > f.list.Number:
		return s, ErrAhead.Withf("It shows list %d, but the newest is %d. If the database was restored, make lists go on behind that number: sealpost crl publish --after %d.",
			number, f.list.Number, number)
	default:
		return s, ErrWrong.Withf("It shows another list of the number %d.", number)
	}
}

// compare compares a certificate or a bundle byte by byte.
func (f *published) compare(r io.Reader) (s seen, err error) {
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(r, f.Size+1)); err != nil {
		return s, err
	}
	if [32]byte(h.Sum(nil)) != f.SHA256 {
		return seen{shown: true}, ErrStale.Withf("It shows another certificate.")
	}
	return seen{shown: true}, nil
}
