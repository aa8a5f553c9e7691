package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

// offences are, for each of the design's rules 1 to 3, the rows that break it, at any moment whatsoever. Each yields none.
var offences = map[string]string{
	"1: an archived key that is not one to encrypt with": `select r.request::text from archive.record r
		left join keyuse.key_use u using (spki_sha256) where u.use is distinct from 'encryption' or u.person <> r.person`,
	"1: a key to sign with in the archive": `select r.request::text from archive.record r
		join ca.prepared p using (spki_sha256) where p.use <> 'encryption'`,
	"1: a certified key that is claimed for something else": `select p.serial::text from ca.prepared p
		left join keyuse.key_use u using (spki_sha256) where u.use is distinct from p.use or u.person <> p.person`,
	"2: an encryption certificate without its deposit": `select c.serial::text from ca.certificate c
		where c.profile = 'smime-encryption' and not exists (select from archive.record r
			where r.spki_sha256 = c.spki_sha256 and r.request = c.request and r.person = c.person and r.deposited_at <= c.issued_at)`,
	"2: an encryption certificate that was prepared before its deposit": `select p.serial::text from ca.prepared p
		join archive.record r on r.request = p.request join audit.event e on e.kind = 'certificate.prepared'
			and e.subject = 'certificate:' || p.issuer || '/' || encode(p.serial, 'hex')
		where e.id < r.event`,
	"3: a certificate of which nothing was written down": `select c.serial::text from ca.certificate c
		left join ca.prepared p using (issuer, serial) where p.state is distinct from 'issued'`,
	"3: a certificate of other bytes than those written down": `select c.serial::text from ca.certificate c
		join ca.prepared p using (issuer, serial) where position(p.tbs in c.der) not between 4 and 8`,
	"3: a serial that is signed or given up, and nothing says so": `select p.serial::text from ca.prepared p
		where p.state = 'issued' and not exists (select from ca.certificate c where c.issuer = p.issuer and c.serial = p.serial)
			or p.state = 'abandoned' and not exists (select from ca.revocation r where r.issuer = p.issuer and r.serial = p.serial)`,
	"half a pair": `select c.request::text from ca.certificate c where c.profile in ('smime-signing', 'smime-encryption')
		group by c.request having count(*) <> 2 or count(distinct c.profile) <> 2`,
	"two live pairs of one request": `select p.request::text from ca.prepared p where p.state <> 'abandoned'
		group by p.request, p.profile having count(*) > 1`,
	"an issued request without its pair": `select q.id::text from enroll.request q
		where q.state = 'issued' and (select count(*) from ca.certificate c where c.request = q.id) <> 2`,
	"a refused request with a certificate": `select q.id::text from enroll.request q
		join ca.certificate c on c.request = q.id where q.state in ('failed', 'rejected')`,
	"an act without its event": `select c.serial::text from ca.certificate c where not exists (select from audit.event e
			where e.kind = 'certificate.issued' and e.subject = 'certificate:' || c.issuer || '/' || encode(c.serial, 'hex'))
		union all select r.request::text from archive.record r where not exists (select from audit.event e
			where e.id = r.event and e.kind = 'archive.deposited')`,
}

// unsettled are rows that a crash may leave, and that are gone when the server has had its time.
var unsettled = map[string]string{
	"a request that goes no further":      `select id::text || ' ' || state from enroll.request where state in ('received', 'endorsed')`,
	"a serial neither signed nor revoked": `select serial::text from ca.prepared where state = 'prepared'`,
	"a record of a failed request":        `select q.id::text from archive.record r join enroll.request q on q.id = r.request where q.state in ('failed', 'rejected')`,
	"a record not kept for ever":          `select q.id::text from archive.record r join enroll.request q on q.id = r.request where r.state = 'held' and q.state = 'issued'`,
	"an event without a place in the log": `select event::text from audit.pending`,
	"a server key without certificate":    `select id::text from enroll.server_key where certificate is null`,
}

// psql asks the database as an outsider would, and returns the lines.
func (i *installation) psql(t testing.TB, sql string) []string {
	t.Helper()
	return strings.Fields(strings.ReplaceAll(e2etest.Tool(t, "", "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", i.db.AdminURL(), "-c", sql), " ", "_"))
}

// found asks for all of a table's rows at once, in one snapshot.
func (i *installation) found(t testing.TB, table map[string]string) []string {
	t.Helper()
	var all []string
	for what, sql := range table {
		all = append(all, fmt.Sprintf("select '%s: ' || x from (%s) as t(x)", what, sql))
	}
	return i.psql(t, strings.Join(all, " union all "))
}

// keepsRules fails the test unless rules 1 to 3 hold at this moment.
func (i *installation) keepsRules(t testing.TB, when string) {
	t.Helper()
	for _, f := range i.found(t, offences) {
		t.Errorf("%s: %s", when, f)
	}
}

// awaitSettled waits until everything that was begun is finished or undone.
func (i *installation) awaitSettled(t testing.TB) {
	t.Helper()
	e2etest.Eventually(t, func() error {
		if left := i.found(t, unsettled); len(left) > 0 {
			time.Sleep(200 * time.Millisecond) // psql is no cheap program to start
			return fmt.Errorf("not settled: %v", left)
		}
		return nil
	})
}

// seenOutside fails the test unless what outsiders see agrees with the database: openssl reads every serial that was given
// up from the list that is served, and no other, and every certificate in the directory is one that was issued.
func (i *installation) seenOutside(t testing.TB) {
	t.Helper()
	e2etest.Eventually(t, func() error {
		file := filepath.Join(t.TempDir(), "crl")
		write(t, file, string(i.fetch(t, "/crl/issuing.crl")))
		list := openssl(t, i.dir, "crl", "-inform", "DER", "-in", file, "-noout", "-text", "-CAfile", "pki/issuing.pem")
		if !strings.Contains(list, "verify OK") {
			t.Errorf("openssl does not verify the list:\n%s", list)
		}
		revoked := i.psql(t, `select upper(encode(serial, 'hex')) from ca.revocation order by 1`)
		for _, serial := range revoked {
			if !strings.Contains(list, "Serial Number: "+serial+"\n") {
				return fmt.Errorf("serial %s is not on the list", serial)
			}
		}
		if n := strings.Count(list, "Serial Number: "); n != len(revoked) {
			return fmt.Errorf("%d serials are on the list, %d are revoked", n, len(revoked))
		}
		return nil
	})
	issued := strings.Join(i.psql(t, `select encode(der, 'base64') from ca.certificate`), "")
	shown := i.slapd.Search(t, i.slapd.Lookup, "-b", slapdtest.People, "(userCertificate=*)", "userCertificate")
	for _, line := range strings.Split(shown, "\n") {
		if name, der, is := strings.Cut(line, ":: "); is && strings.HasPrefix(name, "userCertificate") && !strings.Contains(issued, der) {
			t.Errorf("the directory shows a certificate that the database does not know: %s", der)
		}
	}
}
