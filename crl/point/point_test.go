package point_test

import (
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealpost/sealpost/crl/list"
	"github.com/sealpost/sealpost/crl/point"
	"github.com/sealpost/sealpost/internal/ftptest"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/pgtest"
	"github.com/sealpost/sealpost/internal/s3test"
	"github.com/sealpost/sealpost/internal/sambatest"
	"github.com/sealpost/sealpost/internal/slapdtest"

	"github.com/sealpost/sealpost/directory"
)

func TestMain(m *testing.M) { pgtest.Main(m, sambatest.Ends()) }

// place is a real server, or a folder, with a point before it.
type place struct {
	point.Point
	another func() point.Point                             // as another server of ours has it; nil where two need a lock
	plant   func(t testing.TB, f point.File, there []byte) // puts something in f's place, past the point
	stamp   func(t testing.TB, f point.File) string        // changes with every writing
	left    func(t testing.TB) []string                    // what lies there
}

var places = map[string]func(testing.TB) place{
	"folder": func(t testing.TB) place { return folderPlace(t, point.FolderConfig{Path: t.TempDir()}) },
	"ftp":    func(t testing.TB) place { return ftpPlace(t, ftptest.New(t, ftptest.Config{}), point.FTPConfig{}) },
	"ftps": func(t testing.TB) place {
		return ftpPlace(t, ftptest.New(t, ftptest.Config{Security: ftptest.Explicit}), point.FTPConfig{})
	},
	"ftps, implicit": func(t testing.TB) place {
		return ftpPlace(t, ftptest.New(t, ftptest.Config{Security: ftptest.Implicit}), point.FTPConfig{Security: "implicit"})
	},
	"s3": func(t testing.TB) place { return s3Place(t, s3test.New(t, s3test.Config{}), point.S3Config{}) },
	"https": func(t testing.TB) place {
		return s3Place(t, s3test.New(t, s3test.Config{TLS: true}), point.S3Config{Prefix: "pki/crl/"})
	},
	"ldap": func(t testing.TB) place { return ldapPlace(t, slapdtest.New(t)) },
}

// each runs a test at every kind of place.
func each(t *testing.T, run func(*testing.T, place)) {
	t.Parallel()
	for name, start := range places {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, start(t))
		})
	}
}

func folderPlace(t testing.TB, c point.FolderConfig) place {
	t.Helper()
	open := func() point.Point {
		p, err := point.NewFolder(c)
		must(t, err)
		return p
	}
	return place{Point: open(), another: open, plant: planted(c.Path), stamp: inode(c.Path), left: names(c.Path)}
}

func planted(dir string) func(testing.TB, point.File, []byte) {
	return func(t testing.TB, f point.File, there []byte) {
		t.Helper()
		must(t, os.WriteFile(filepath.Join(dir, f.Name), there, 0o644))
	}
}

func inode(dir string) func(testing.TB, point.File) string {
	return func(t testing.TB, f point.File) string {
		t.Helper()
		info, err := os.Stat(filepath.Join(dir, f.Name))
		must(t, err)
		return fmt.Sprint(info.ModTime().UnixNano(), info.Sys())
	}
}

func names(dir string) func(testing.TB) []string {
	return func(t testing.TB) (out []string) {
		t.Helper()
		entries, err := os.ReadDir(dir)
		must(t, err)
		for _, e := range entries {
			if e.Name() != ".sgwtmp" { // of the store itself
				out = append(out, e.Name())
			}
		}
		return out
	}
}

func ftpConfig(s *ftptest.Server) point.FTPConfig {
	c := point.FTPConfig{Server: s.Address(), Login: ftptest.Login, Password: s.Password, Trust: s.Trust, Timeout: 5 * time.Second}
	if s.Trust == nil {
		c.Security = "none"
	}
	return c
}

func ftpPlace(t testing.TB, s *ftptest.Server, c point.FTPConfig) place {
	t.Helper()
	base := ftpConfig(s)
	if c.Security != "" {
		base.Security = c.Security
	}
	p, err := point.NewFTP(base)
	must(t, err)
	return place{Point: p, plant: planted(s.Root), stamp: inode(s.Root), left: names(s.Root)}
}

func s3Config(s *s3test.Server) point.S3Config {
	return point.S3Config{Endpoint: s.URL(), Bucket: s3test.Bucket, AccessKey: s.AccessKey, SecretKey: s.SecretKey, Trust: s.Trust, Timeout: 5 * time.Second}
}

func s3Place(t testing.TB, s *s3test.Server, c point.S3Config) place {
	t.Helper()
	base := s3Config(s)
	base.Prefix = c.Prefix
	open := func() point.Point {
		p, err := point.NewS3(base)
		must(t, err)
		return p
	}
	dir := filepath.Join(s.Folder, c.Prefix)
	return place{Point: open(), another: open, plant: func(t testing.TB, f point.File, there []byte) {
		t.Helper()
		must(t, os.MkdirAll(dir, 0o700))
		planted(dir)(t, f, there)
	}, stamp: inode(dir), left: func(t testing.TB) []string {
		if _, err := os.Stat(dir); err != nil {
			return nil
		}
		return names(dir)(t)
	}}
}

const entry = "cn=Issuing CA 1," + slapdtest.PKI

func directoryOf(t testing.TB, s *slapdtest.Server) *directory.Directory {
	t.Helper()
	c := housetest.DirectoryConfig(s)
	c.DB = pgtest.Open(t, pgtest.NewDatabase(t))
	c.Timeout = 5 * time.Second
	d, err := directory.New(c)
	must(t, err)
	t.Cleanup(d.Close)
	return d
}

func ldapPlace(t testing.TB, s *slapdtest.Server) place {
	t.Helper()
	d := directoryOf(t, s)
	open := func() point.Point {
		p, err := point.NewLDAP(point.LDAPConfig{DN: entry, Directory: d})
		must(t, err)
		return p
	}
	attribute := map[point.Kind]string{point.Full: "certificateRevocationList;binary", point.Delta: "deltaRevocationList;binary"}
	return place{Point: open(), another: open, plant: func(t testing.TB, f point.File, there []byte) {
		t.Helper()
		out, err := s.ModifyAs(s.Admin, "dn: "+entry+"\nchangetype: modify\nreplace: "+attribute[f.Kind]+"\n"+ldif(attribute[f.Kind], there))
		if err != nil {
			t.Skipf("OpenLDAP itself refuses this: %s", out)
		}
	}, stamp: func(t testing.TB, _ point.File) string {
		return s.Search(t, s.Admin, "-b", entry, "-s", "base", "entryCSN")
	}, left: func(testing.TB) []string { return nil }}
}

// A list takes an older one's place, and no other.
func TestListsAreReplacedByNewerOnes(t *testing.T) {
	each(t, func(t *testing.T, p place) {
		ca, other := newIssuer(t, "Issuing"), newIssuer(t, "Other")
		_, err := p.Get(t.Context(), ca.full(t, 1))
		is(t, "nothing there", err, point.ErrAbsent)
		one, two := ca.full(t, 1), ca.full(t, 2)
		for _, step := range []struct {
			what  string
			put   point.File
			err   error
			shows point.File
		}{
			{"the first", one, nil, one},
			{"the first again", one, nil, one},
			{"a newer one", two, nil, two},
			{"an older one", one, list.ErrNewer, two},
			{"another of the same number", ca.full(t, 2), list.ErrNewer, two},
			{"another authority's", other.full(t, 9), list.ErrForeign, two},
			{"a delta in a complete list's place", ca.listed(t, "issuing.crl", point.Full, ca.der(t, 9, 1)), list.ErrForeign, two},
		} {
			is(t, step.what, p.Put(t.Context(), step.put), step.err)
			shows(t, p, step.shows)
		}
		before := p.stamp(t, two)
		is(t, "the same", p.Put(t.Context(), two), nil)
		if after := p.stamp(t, two); after != before {
			t.Errorf("the same list was written again: %s, %s", before, after)
		}
		if left := p.left(t); len(left) > 1 {
			t.Errorf("left behind: %v", left)
		}
	})
}

// What is there and no list of ours, or not whole, does not keep the new list away. What is another's does.
func TestDamagedListsAreReplaced(t *testing.T) {
	each(t, func(t *testing.T, p place) {
		ca, other := newIssuer(t, "Issuing"), newIssuer(t, "Other")
		must(t, p.Put(t.Context(), ca.full(t, 1)))
		tampered := ca.der(t, 99, 0)
		tampered[len(tampered)-1] ^= 1 // the signature, so that it reads as a newer list
		raised := newIssuer(t, "Issuing").der(t, 99, 0)
		number := int64(1)
		for _, c := range []struct {
			what  string
			there []byte
			err   error
		}{
			{"cut off", ca.der(t, 50, 0)[:100], nil},
			{"with something behind it", append(ca.der(t, 50, 0), 0), nil},
			{"with a wrong signature", tampered, nil},
			{"signed by somebody in our name", raised, nil},
			{"garbage", []byte("<html>It works!</html>"), nil},
			{"empty", []byte{}, nil},
			{"another authority's", other.der(t, 1, 0), list.ErrForeign},
			{"newer", ca.der(t, 1000, 0), list.ErrNewer},
		} {
			t.Run(c.what, func(t *testing.T) {
				number++
				f := ca.full(t, number)
				p.plant(t, f, c.there)
				is(t, c.what, p.Put(t.Context(), f), c.err)
				if c.err == nil {
					shows(t, p, f)
					return
				}
				in, err := p.Get(t.Context(), f)
				must(t, err)
				defer in.Close()
				if head, err := list.Read(in, nil); err != nil || head.Size != int64(len(c.there)) {
					t.Errorf("what was there was touched: %v", err)
				}
			})
		}
	})
}

func TestCertificatesAndBundles(t *testing.T) {
	each(t, func(t *testing.T, p place) {
		ca, other := newIssuer(t, "Issuing"), newIssuer(t, "Other")
		renewed := ca.certificate(t, "Issuing", time.Now().Add(time.Hour))
		named := func(name string, der []byte) point.File { return file(name, point.Certificate, der) }
		first, second := named("issuing.cer", ca.cert.Raw), named("issuing.cer", renewed.Raw)
		must(t, p.Put(t.Context(), ca.full(t, 1)))
		must(t, p.Put(t.Context(), ca.delta(t, 2, 1)))
		must(t, p.Put(t.Context(), first))
		shows(t, p, first)
		before := p.stamp(t, first)
		must(t, p.Put(t.Context(), first))
		if p.stamp(t, first) != before {
			t.Error("the same certificate was written again")
		}
		must(t, p.Put(t.Context(), second))
		shows(t, p, second)
		chain := packed(t, renewed, other.cert)
		must(t, p.Put(t.Context(), packed(t, ca.cert)))
		must(t, p.Put(t.Context(), chain))
		shows(t, p, chain)
		if _, isDirectory := p.Point.(*point.LDAP); !isDirectory { // an entry keeps all of them
			is(t, "older", p.Put(t.Context(), first), list.ErrNewer)
			is(t, "another's", p.Put(t.Context(), named("issuing.cer", other.cert.Raw)), list.ErrForeign)
			shows(t, p, second)
		}
		shows(t, p, ca.listed(t, "issuing.crl", point.Full, read(t, p, ca.full(t, 1))))
	})
}

func read(t testing.TB, p point.Point, f point.File) []byte {
	t.Helper()
	in, err := p.Get(t.Context(), f)
	must(t, err)
	defer in.Close()
	b := make([]byte, f.Size+100)
	n, _ := in.Read(b)
	return b[:n]
}

// Many writers at once, in any order: the newest list stays, and nothing else. FTP has no conditions: its writers share a
// point here, and the caller's lock otherwise.
func TestWritersAtOnce(t *testing.T) {
	each(t, func(t *testing.T, p place) {
		ca := newIssuer(t, "Issuing")
		const n = 8
		var wg sync.WaitGroup
		var newest point.File
		for i := range n {
			number := int64(i*3%n + 1)
			f, q := ca.full(t, number), p.Point
			if p.another != nil {
				q = p.another()
			}
			if number == n {
				newest = f
			}
			wg.Go(func() {
				err := q.Put(t.Context(), f)
				if number == n || err != nil {
					want := list.ErrNewer
					if number == n {
						want = nil
					}
					if want == nil {
						must(t, err)
					} else {
						is(t, "older", err, want)
					}
				}
			})
		}
		wg.Wait()
		shows(t, p, newest)
		if left := p.left(t); len(left) > 1 {
			t.Errorf("left behind: %v", left)
		}
	})
}

// What is not what it says, or cannot be published at all, changes nothing.
func TestWrongFiles(t *testing.T) {
	each(t, func(t *testing.T, p place) {
		ca := newIssuer(t, "Issuing")
		good := ca.full(t, 1)
		must(t, p.Put(t.Context(), good))
		for what, spoil := range map[string]func(*point.File){
			"another content":     func(f *point.File) { f.Open = ca.full(t, 3).Open },
			"less than announced": func(f *point.File) { f.Size++ },
			"more than announced": func(f *point.File) { f.Size-- },
			"too large":           func(f *point.File) { f.Size = point.MaxSize + 1 },
			"empty":               func(f *point.File) { f.Size = 0 },
			"a path for a name":   func(f *point.File) { f.Name = "../issuing.crl" },
			"no name":             func(f *point.File) { f.Name = "" },
			"a hidden name":       func(f *point.File) { f.Name = ".crl" },
			"a line end":          func(f *point.File) { f.Name = "a\r\nDELE b" },
			"no head":             func(f *point.File) { f.Head = nil },
			"no content":          func(f *point.File) { f.Open = nil },
			"no kind":             func(f *point.File) { f.Kind = "" },
		} {
			f := ca.full(t, 2)
			spoil(&f)
			is(t, what, p.Put(t.Context(), f), point.ErrFile)
		}
		shows(t, p, good)
		if left := p.left(t); len(left) > 1 {
			t.Errorf("left behind: %v", left)
		}
	})
}

// ldif is one value as LDIF.
func ldif(attribute string, value []byte) string {
	b := pem.EncodeToMemory(&pem.Block{Type: "X", Bytes: value})
	lines := strings.Split(string(b), "\n")
	return attribute + ":: " + strings.Join(lines[1:len(lines)-2], "") + "\n"
}
