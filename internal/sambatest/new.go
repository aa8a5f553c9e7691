package sambatest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
)

// shared is the test binary's controller; it is started by the first test that asks.
var shared struct {
	once   sync.Once
	server *Server
	err    error
	main   bool
}

// Ends returns what stops the controller when a test binary's tests are done, for its TestMain:
//
//	func TestMain(m *testing.M) { pgtest.Main(m, sambatest.Ends()) }
func Ends() func() {
	shared.main = true
	return func() {
		if shared.server != nil {
			shared.server.stop()
		}
	}
}

// Main runs a test binary's tests and then stops the controller they used.
func Main(m *testing.M) {
	end := Ends()
	code := m.Run()
	end()
	os.Exit(code)
}

// Shared returns the controller that all tests of the binary share. With -short the test is skipped; a missing Samba
// fails it.
func Shared(t testing.TB) *Server {
	t.Helper()
	if testing.Short() {
		t.Skip("needs Samba; not run with -short")
	}
	if !shared.main {
		t.Fatal("add to this package's tests: func TestMain(m *testing.M) { sambatest.Main(m) }, or pgtest.Main(m, sambatest.Ends())")
	}
	shared.once.Do(func() { shared.server, shared.err = start(context.Background()) })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.server
}

// The rights that an operator should give the publisher on the people's unit, as docs/gal.md has them: to write two
// attributes of users. The first identifier is the attribute's, the second the class's.
const (
	writeUserCertificate      = "(OA;CIIO;WP;bf967a7f-0de6-11d0-a285-00aa003049e2;bf967aba-0de6-11d0-a285-00aa003049e2;%s)"
	writeUserSMIMECertificate = "(OA;CIIO;WP;e16a9db2-403c-11d1-a9c0-0000f80367c1;bf967aba-0de6-11d0-a285-00aa003049e2;%s)"
)

// furnish makes the units and accounts that all tests share.
func (s *Server) furnish(ctx context.Context) error {
	var err1, err2 error
	s.Lookup, err1 = s.account("lookup", Tests)
	s.Publisher, err2 = s.account("publisher", Tests)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	ldif := "dn: " + Tests + "\nobjectClass: organizationalUnit\n\n" + s.Lookup.ldif() + s.Publisher.ldif()
	if out, err := s.modify(ctx, s.Admin, ldif); err != nil {
		return fmt.Errorf("ldapmodify: %w: %s", err, out)
	}
	sid, err := s.sid(ctx, s.Publisher.DN)
	if err != nil {
		return err
	}
	out, err := s.allow(ctx, Tests, fmt.Sprintf(writeUserCertificate+writeUserSMIMECertificate, sid, sid))
	if err != nil {
		return fmt.Errorf("samba-tool: %w: %s", err, out)
	}
	return nil
}

// Unit is a test's own part of the domain.
type Unit struct {
	*Server
	Name   string // unique: "unit-7"
	Base   string // organizational unit of that name
	People string // organizational unit in Base
	Groups string // organizational unit in Base
	number int64
}

// New returns organizational units of the test's own in the shared domain. With -short the test is skipped; a missing
// Samba fails it.
func New(t testing.TB) *Unit {
	t.Helper()
	s := Shared(t)
	n := s.units.Add(1)
	u := &Unit{Server: s, Name: fmt.Sprintf("unit-%d", n), number: n}
	u.Base = "OU=" + u.Name + "," + Tests
	u.People, u.Groups = "OU=People,"+u.Base, "OU=Groups,"+u.Base
	for _, dn := range []string{u.Base, u.People, u.Groups} {
		s.Modify(t, "dn: "+dn+"\nobjectClass: organizationalUnit\n")
	}
	return u
}
