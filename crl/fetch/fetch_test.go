package fetch_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/crl/fetch"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/ftptest"
	"github.com/sealpost/sealpost/internal/nettest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

// crl makes a revocation list.
func crl(t testing.TB) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	ca := &x509.Certificate{SubjectKeyId: []byte{1}, KeyUsage: x509.KeyUsageCRLSign, Subject: pkix.Name{CommonName: "Issuing"}, RawSubject: []byte{0x30, 0}}
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour)}, ca, key)
	must(t, err)
	return der
}

// get reads an address to its end.
func get(t testing.TB, c fetch.Config, address string) ([]byte, error) {
	t.Helper()
	in, err := fetch.New(c).Open(t.Context(), address)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(in)
	return b, errors.Join(err, in.Close())
}

func is(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) || want == nil && err != nil {
		t.Errorf("%s: got %v, want %v", what, err, want)
		return
	}
	if f := fault.Of(err); want != nil && (f == nil || !strings.HasSuffix(f.Detail, ".")) {
		t.Errorf("%s: detail of %v", what, err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestHTTP(t *testing.T) {
	t.Parallel()
	list := crl(t)
	mux := http.NewServeMux()
	var secure *httptest.Server
	handle := func(path string, f http.HandlerFunc) { mux.HandleFunc(path, f) }
	handle("/good.crl", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" || r.Header.Get("Cookie") != "" || r.Header.Get("Accept-Encoding") != "" {
			t.Errorf("asked with %v", r.Header)
		}
		_, _ = w.Write(list)
	})
	status := func(n int) http.HandlerFunc { return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(n) } }
	for _, n := range []int{204, 401, 403, 404, 410, 500, 503} {
		handle("/"+strconv.Itoa(n), status(n))
	}
	handle("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/good.crl", http.StatusFound) })
	handle("/circle", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/circle", http.StatusFound) })
	handle("/elsewhere", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, secure.URL+"/good.crl", http.StatusFound)
	})
	handle("/file", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "file:///etc/passwd")
		w.WriteHeader(http.StatusFound)
	})
	handle("/cut", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(list)))
		_, _ = w.Write(list[:20])
	})
	handle("/stalls", func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write(list[:20])
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	handle("/drips", func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			_, _ = w.Write([]byte{0})
			_ = http.NewResponseController(w).Flush()
			time.Sleep(20 * time.Millisecond)
		}
	})
	handle("/endless", func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			_, _ = w.Write(make([]byte, 10_000))
		}
	})
	plain := httptest.NewServer(mux)
	t.Cleanup(plain.Close)
	secure = httptest.NewTLSServer(mux)
	t.Cleanup(secure.Close)
	trust := x509.NewCertPool()
	trust.AddCert(secure.Certificate())
	config := fetch.Config{Timeout: time.Second, Step: 300 * time.Millisecond, MaxSize: 1 << 20, Trust: trust}
	for path, want := range map[string]error{
		"/good.crl": nil, "/moved": nil, "/204": fetch.ErrRefused, "/401": fetch.ErrRefused, "/403": fetch.ErrRefused, "/404": fetch.ErrAbsent,
		"/410": fetch.ErrAbsent, "/none": fetch.ErrAbsent, "/500": fetch.ErrUnreachable, "/503": fetch.ErrUnreachable, "/circle": fetch.ErrRefused,
		"/elsewhere": fetch.ErrRefused, "/file": fetch.ErrRefused, "/cut": fetch.ErrUnreachable, "/stalls": fetch.ErrUnreachable, "/drips": fetch.ErrUnreachable,
		"/endless": fetch.ErrTooLarge,
	} {
		start := time.Now()
		b, err := get(t, config, plain.URL+path)
		is(t, path, err, want)
		if want == nil && !bytes.Equal(b, list) {
			t.Errorf("%s: %d bytes", path, len(b))
		}
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("%s took %s", path, took)
		}
	}
	b, err := get(t, config, secure.URL+"/good.crl")
	is(t, "https", err, nil)
	if !bytes.Equal(b, list) {
		t.Error("https brings something else")
	}
	config.Trust = x509.NewCertPool()
	_, err = get(t, config, secure.URL+"/good.crl")
	is(t, "a certificate of others", err, fetch.ErrUnreachable)
	_, err = get(t, config, "http://"+nettest.Silent(t)+"/x")
	is(t, "silence", err, fetch.ErrUnreachable)
	_, err = get(t, config, "https://"+nettest.Silent(t)+"/x")
	is(t, "silence, https", err, fetch.ErrUnreachable)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := fetch.New(fetch.Config{}).Open(ctx, "http://"+nettest.Silent(t)+"/x"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// The environment's proxy is not an outsider's.
func TestNoProxy(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://"+nettest.Silent(t))
	t.Setenv("http_proxy", "http://"+nettest.Silent(t))
	_, err := get(t, fetch.Config{Step: time.Second}, "http://crl.example.invalid/x")
	is(t, "a name that nobody has", err, fetch.ErrUnreachable)
	if !strings.Contains(err.Error(), "lookup") {
		t.Errorf("somebody else was asked: %v", err)
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"", "x", "file:///etc/passwd", "gopher://h/x", "http://", "http:///x", "http://user:pw@h/x", "http://h/a b", "http://h/\r\nx",
		"ftp://", "ftp://h", "ftp://h/", "ftp://h/folder/", "ftp://user:pw@h/x", "ftp://h/a%0d%0aDELE%20b", "ldap://", "ldap://h", "ldap://h/", "ldap://h/cn=x", "ldap://h/cn=x?",
		"ldap://h/cn=x?a,b", "ldap://h/cn=x?a?two", "ldap://h/cn=x?a?base?(", "ldap://h/x?a", "ldap://h/cn=%zz?a", "ldap://h:x/cn=x?a", "ldap:///cn=x?certificateRevocationList",
		"ldap://h/cn=x?a?base?(objectClass=*)?!critical", "ldapi://%2ftmp%2fx/cn=x?a", "ldap://u:p@h/cn=x?a", "ldap:cn=x?a"} {
		_, err := get(t, fetch.Config{Step: 300 * time.Millisecond}, address)
		is(t, fmt.Sprintf("%q", address), err, fetch.ErrURL)
	}
}

func TestLDAP(t *testing.T) {
	t.Parallel()
	s := slapdtest.New(t)
	list := crl(t)
	const dn = "cn=Issuing CA 1," + slapdtest.PKI
	value := func(attribute string, b []byte) string {
		return attribute + ":: " + base64.StdEncoding.EncodeToString(b) + "\n"
	}
	s.Modify(t, "dn: "+dn+"\nobjectClass: cRLDistributionPoint\n"+value("certificateRevocationList;binary", list)+value("deltaRevocationList;binary", list))
	s.Modify(t, "dn: cn=Empty,"+slapdtest.PKI+"\nobjectClass: cRLDistributionPoint\n")
	s.Modify(t, "dn: cn=Two,"+slapdtest.PKI+"\nobjectClass: cRLDistributionPoint\n"+value("certificateRevocationList;binary", list)+value("certificateRevocationList;binary", crl(t)))
	s.Modify(t, "dn: cn=Away,"+slapdtest.PKI+"\nobjectClass: referral\nobjectClass: extensibleObject\ncn: Away\nref: ldap://ldap.example.test/cn=Away\n")
	config := fetch.Config{Step: time.Second, Trust: s.Trust}
	name := strings.ReplaceAll(dn, " ", "%20")
	host := strings.TrimPrefix(s.StartTLSURL(), "ldap://")
	for address, want := range map[string]error{
		s.StartTLSURL() + "/" + name + "?certificateRevocationList;binary":                                         nil,
		s.StartTLSURL() + "/" + name + "?certificateRevocationList":                                                nil,
		s.StartTLSURL() + "/" + name + "?certificateRevocationList;binary?base?(objectClass=cRLDistributionPoint)": nil,
		s.StartTLSURL() + "/" + name + "?certificateRevocationList?base?objectClass=cRLDistributionPoint":          nil,
		"LDAP://" + host + "/" + name + "?certificaterevocationlist;binary":                                        nil,
		s.TLSURL() + "/" + name + "?deltaRevocationList;binary":                                                    nil,
		s.TLSURL() + "/" + slapdtest.PKI + "?certificateRevocationList;binary?sub?(cn=Issuing%20CA%201)":           nil,
		s.TLSURL() + "/" + name + "?authorityRevocationList;binary":                                                fetch.ErrAbsent,
		s.TLSURL() + "/cn=Empty," + slapdtest.PKI + "?certificateRevocationList;binary":                            fetch.ErrAbsent,
		s.TLSURL() + "/cn=None," + slapdtest.PKI + "?certificateRevocationList;binary":                             fetch.ErrAbsent,
		s.TLSURL() + "/" + slapdtest.PersonDN("alice") + "?userPassword":                                           fetch.ErrAbsent,
		s.TLSURL() + "/cn=Two," + slapdtest.PKI + "?certificateRevocationList;binary":                              fetch.ErrRefused,
		s.TLSURL() + "/cn=Away," + slapdtest.PKI + "?certificateRevocationList;binary":                             fetch.ErrRefused,
		"ldap://" + nettest.Silent(t) + "/" + name + "?certificateRevocationList":                                  fetch.ErrUnreachable,
		"ldaps://" + nettest.Silent(t) + "/" + name + "?certificateRevocationList":                                 fetch.ErrUnreachable,
	} {
		b, err := get(t, config, address)
		is(t, address, err, want)
		if want == nil && !bytes.Equal(b, list) {
			t.Errorf("%s: %d bytes", address, len(b))
		}
	}
	config.LDAPServer = host
	b, err := get(t, config, "ldap:///"+name+"?certificateRevocationList?base?objectClass=cRLDistributionPoint")
	is(t, "no server named", err, nil)
	if !bytes.Equal(b, list) {
		t.Error("no server named: another list")
	}
	config.Trust = x509.NewCertPool()
	_, err = get(t, config, s.TLSURL()+"/"+name+"?certificateRevocationList")
	is(t, "a certificate of others", err, fetch.ErrUnreachable)
	config.MaxSize = 10
	_, err = get(t, config, s.StartTLSURL()+"/"+name+"?certificateRevocationList")
	is(t, "too large", err, fetch.ErrTooLarge)
	s.Kill()
	_, err = get(t, config, s.StartTLSURL()+"/"+name+"?certificateRevocationList")
	is(t, "killed", err, fetch.ErrUnreachable)
}

func TestFTP(t *testing.T) {
	t.Parallel()
	s := ftptest.New(t, ftptest.Config{})
	list := crl(t)
	put := func(name string, b []byte) { must(t, os.WriteFile(filepath.Join(s.Root, name), b, 0o644)) }
	must(t, os.Mkdir(filepath.Join(s.Root, "pki"), 0o755))
	for _, name := range []string{"issuing.crl", "pki/issuing.crl", "with space.crl"} {
		put(name, list)
	}
	put("large.crl", make([]byte, 32<<20))
	put("secret.crl", list)
	must(t, os.Chmod(filepath.Join(s.Root, "secret.crl"), 0o600))
	config := fetch.Config{Timeout: 5 * time.Second, Step: time.Second, MaxSize: 1 << 20}
	for path, want := range map[string]error{
		"/issuing.crl": nil, "/issuing.crl;type=i": nil, "/pki/issuing.crl": nil, "/with%20space.crl": nil,
		"/" + url.PathEscape(s.Root+"/issuing.crl"): nil,
		"/none.crl": fetch.ErrAbsent, "/none/issuing.crl": fetch.ErrAbsent, "/pki": fetch.ErrAbsent, "/secret.crl": fetch.ErrAbsent, "/large.crl": fetch.ErrTooLarge,
	} {
		b, err := get(t, config, s.URL()+path)
		is(t, path, err, want)
		if want == nil && !bytes.Equal(b, list) {
			t.Errorf("%s: %d bytes", path, len(b))
		}
	}
	_, err := get(t, config, "ftp://"+s.Address()+"/issuing.crl")
	is(t, "a server that wants a password", err, fetch.ErrRefused)
	_, err = get(t, config, "ftp://"+nettest.Silent(t)+"/issuing.crl")
	is(t, "silence", err, fetch.ErrUnreachable)

	for what, strike := range map[string]func(){"frozen": s.Freeze, "killed": s.Kill} {
		config.MaxSize = 128 << 20
		in, err := fetch.New(config).Open(t.Context(), s.URL()+"/large.crl")
		must(t, err)
		_, err = io.CopyN(io.Discard, in, 1<<20)
		must(t, err)
		strike()
		n, err := io.Copy(io.Discard, in)
		is(t, fmt.Sprintf("%s after %d bytes", what, n), err, fetch.ErrUnreachable)
		must(t, in.Close())
		if s.Thaw(); what == "killed" {
			must(t, s.Restart(t.Context()))
		}
	}
	s.Kill()
	_, err = get(t, config, s.URL()+"/issuing.crl")
	is(t, "down", err, fetch.ErrUnreachable)
}
