package crl_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/crl"
	"github.com/sealpost/sealpost/internal/pgtest"
	"github.com/sealpost/sealpost/internal/pkitest"
)

// Three servers make and bring lists at once, while certificates are revoked all the time. Numbers rise, readers never see
// anything older, and every point ends with the newest.
func TestServersPublishAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, everywhere...)
	sites := []*site{r.site(), r.site(), r.site()}
	own := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if err := sites[0].Serve(w, q, pkitest.IssuerID, crl.Kind{}); err != nil {
			http.NotFound(w, q)
		}
	}))
	t.Cleanup(own.Close)
	sites[0].Points = append(sites[0].Points, crl.Point{Name: "http", Address: func(*ca.Issuer, string) string { return own.URL }})
	var certs []ca.Certificate
	for n := range 12 {
		p := r.pki.IssuePair(t, pkitest.NewPerson(fmt.Sprintf("person%d", n)))
		certs = append(certs, p.Signing, p.Encryption)
	}
	for _, s := range sites {
		s.run()
	}
	all := append([]string{"http"}, everywhere...)
	sites[0].arrive("the first list", 30*time.Second, all)
	watching := sites[0].observe(all...)
	for n, c := range certs {
		r.revoke(c, ca.KeyCompromise)
		if n%4 == 0 { // and an operator asks for one
			_, err := sites[n/4%3].Renew(t.Context(), pkitest.IssuerID)
			must(t, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	for _, s := range sites {
		s.arrive("the newest", 40*time.Second, everywhere, certs...)
	}
	sites[0].arrive("the newest", 10*time.Second, all, certs...)
	r.eventually("status is good", 30*time.Second, func() error {
		r.hurry()
		for name, one := range sites[1].standing() {
			if newest, err := sites[1].Newest(t.Context(), pkitest.IssuerID); err != nil || name != "http" && (one.Failure != "" || one.Number != newest.Number) {
				return fmt.Errorf("%+v, %w", one, err)
			}
		}
		return nil
	})
	looked(t, watching)
	if n := r.database.Count(t, `select count(*) from (select number from crl.list group by number having count(*) > 1) x`); n > 0 {
		t.Errorf("%d numbers were given twice", n)
	}
	if n := r.database.Count(t, `select count(*) from crl.list a join crl.list b on a.number < b.number and (a.this_update > b.this_update or a.changes > b.changes)`); n > 0 {
		t.Errorf("%d lists go back", n)
	}
}

// Revocations that follow one another share lists: the first waits no longer for the others' sake, and there are no more lists
// than the time has room for. A key that somebody else may be using waits for nothing.
func TestStreamOfRevocations(t *testing.T) {
	t.Parallel()
	r := newRig(t, "folder")
	const debounce = 2 * time.Second
	c := r.pki.Config()
	c.DB, c.Jobs, c.Now, c.Debounce = pgtest.Open(t, r.database), r.pki.Jobs, r.clock.Now, debounce
	var err error
	r.pki.Authority, err = ca.New(t.Context(), c)
	must(t, err)
	var certs []ca.Certificate
	for n := range 20 {
		p := r.pki.IssuePair(t, pkitest.NewPerson(fmt.Sprintf("person%d", n)))
		certs = append(certs, p.Signing, p.Encryption)
	}
	s := r.site().run()
	s.arrive("the first list", 20*time.Second, r.kinds)
	last := certs[len(certs)-1]
	begin := time.Now()
	var readable []time.Duration // of each but the last, how long after it was revoked it could be read
	waits := map[ca.Serial]time.Time{}
	look := func() {
		b, err := s.Newest(t.Context(), pkitest.IssuerID)
		must(t, err)
		if n := s.numbers("folder")["folder"]; n < b.Number {
			return
		}
		has := reasons(t, b)
		for serial, at := range waits {
			if _, ok := has[serial]; ok {
				readable = append(readable, time.Since(at))
				delete(waits, serial)
			}
		}
	}
	for _, one := range certs[:len(certs)-1] {
		r.revoke(one, ca.Superseded)
		waits[one.Serial] = time.Now()
		for next := time.Now().Add(200 * time.Millisecond); time.Now().Before(next); time.Sleep(20 * time.Millisecond) {
			look()
		}
	}
	streamed := time.Since(begin)
	r.eventually("all are readable", 20*time.Second, func() error {
		if look(); len(waits) > 0 {
			return fmt.Errorf("%d are not", len(waits))
		}
		return nil
	})
	longest := time.Duration(0)
	for _, d := range readable {
		longest = max(longest, d)
	}
	lists := r.database.Count(t, `select count(*) from crl.list`)
	t.Logf("%d revocations in %v: %d lists, each was readable within %v", len(readable), streamed.Round(time.Millisecond), lists, longest.Round(time.Millisecond))
	if most := int64(time.Since(begin)/debounce) + 3; lists > most { // the first, and those of the check of every minute
		t.Errorf("%d lists, at most %d have room", lists, most)
	}
	if longest > debounce+6*time.Second { // on a busy machine
		t.Errorf("one was readable only after %v", longest)
	}
	begin = time.Now()
	r.revoke(last, ca.KeyCompromise)
	s.arrive("at once", debounce, r.kinds, last)
	t.Logf("a compromised key: %v", time.Since(begin).Round(time.Millisecond))
}
