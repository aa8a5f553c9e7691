package notice_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/enroll"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/jobs"
	"github.com/sealpost/sealpost/internal/mailtest"
	"github.com/sealpost/sealpost/internal/slapdtest"
	"github.com/sealpost/sealpost/notice"
)

// slips does the jobs that tell of tokens, and returns what came, as "login: subject", and which jobs failed and wait.
func (o *office) slips(t *testing.T, secrets ...string) (list []string, by map[string]mailtest.Mail, left int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), o.Database.AdminURL())
	must(t, err)
	defer conn.Close(t.Context())
	rows, err := conn.Query(t.Context(), `select id, kind, args::text::bytea from river.river_job where kind = 'notice.token' order by id`)
	must(t, err)
	waiting, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (j job, err error) { return j, row.Scan(&j.id, &j.kind, &j.args) })
	must(t, err)
	for _, j := range waiting {
		for _, secret := range secrets {
			if strings.Contains(string(j.args), secret) {
				t.Error("a token is in a job")
			}
		}
		if err := o.teller.TellToken(t.Context(), args[jobs.TellToken](t, j)); err != nil && !strings.HasPrefix(err.Error(), jobs.Cancel(errors.New("")).Error()) {
			left++
			continue
		}
		_, err = conn.Exec(t.Context(), `delete from river.river_job where id = $1`, j.id)
		must(t, err)
	}
	list, by = o.arrived(t)
	for _, m := range by {
		for _, secret := range secrets {
			if strings.Contains(m.Raw, secret) {
				t.Errorf("a token is in a mail:\n%s", m.Raw)
			}
		}
	}
	return list, by, left
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

const (
	canBeSetUp = "A computer can be set up for you"
	wereIssued = "Certificates for secure mail were issued in your name"
)

// Whoever a token was made for is told so if the registrar wishes it, and in any case when it was used; once, and never the token.
func TestTokensAreTold(t *testing.T) {
	o := setup(t)
	rita, alice, bob := o.Actor(t, "rita"), o.Actor(t, "alice"), o.Actor(t, "bob")
	made, err := o.Enroll.MintTokenFor(t.Context(), rita, enroll.TokenOrder{Person: alice.Person, Life: 24 * time.Hour, Tell: true})
	must(t, err)
	quiet, err := o.Enroll.MintTokenFor(t.Context(), rita, enroll.TokenOrder{Person: bob.Person, Life: 24 * time.Hour, Use: enroll.Behalf})
	must(t, err)
	list, by, _ := o.slips(t, made.Secret, quiet.Secret)
	expect(t, "made", list, "alice: "+canBeSetUp)
	for _, want := range []string{"Dear Alice Anders", "Rita Registrar made an enrolment token for you", "The token is not in this message", "telephone 4711", "name the token's number: 1 "} {
		if !strings.Contains(oneLine(by["alice"].Text), want) {
			t.Errorf("alice's mail does not say %q:\n%s", want, by["alice"].Text)
		}
	}
	if list, _, left := o.slips(t); left != 0 || len(list) != 0 {
		t.Errorf("told again: %v %v", list, left)
	}
	for _, token := range []*enroll.Token{made, quiet} {
		by, err := o.Enroll.TokenActor(t.Context(), token.Secret)
		must(t, err)
		s, _ := o.Submission(t, by, housetest.Pair)
		s.Token = token.Secret
		for range 2 { // the second is a repetition
			_, err = o.Enroll.Submit(t.Context(), by, s)
			must(t, err)
		}
	}
	list, by, _ = o.slips(t, made.Secret, quiet.Secret)
	expect(t, "used", list, "alice: "+wereIssued, "bob: "+wereIssued)
	if text := oneLine(by["bob"].Text); !strings.Contains(text, "used by Rita Registrar on your behalf") || !strings.Contains(text, "Bob Brown") {
		t.Errorf("bob's mail:\n%s", text)
	}
	// Whoever shows a password is not told of a token, and of one that a registrar has to agree to not before that.
	s, _ := o.Submission(t, alice, housetest.Pair)
	_, err = o.Enroll.Submit(t.Context(), alice, s)
	must(t, err)
	third, err := o.Enroll.MintTokenFor(t.Context(), rita, enroll.TokenOrder{Person: alice.Person, Life: time.Hour})
	must(t, err)
	asks, err := o.Enroll.TokenActor(t.Context(), third.Secret)
	must(t, err)
	s, _ = o.Submission(t, asks, housetest.Endorsed)
	s.Token = third.Secret
	req, err := o.Enroll.Submit(t.Context(), asks, s)
	must(t, err)
	if list, _, left := o.slips(t); left != 0 || len(list) != 0 {
		t.Errorf("before it is issued: %v %v", list, left)
	}
	bob.Roles = append(slices.Clone(bob.Roles), rita.Roles...) // another registrar
	_, err = o.Enroll.Endorse(t.Context(), bob, req.ID)
	must(t, err)
	list, _, _ = o.slips(t)
	expect(t, "endorsed", list, "alice: "+wereIssued)
}

// A mail server that is away, somebody without an address, and a house without a mail server.
func TestTokensAreToldLater(t *testing.T) {
	o := setup(t)
	rita := o.Actor(t, "rita")
	for _, who := range []string{"alice", "bob"} {
		_, err := o.Enroll.MintTokenFor(t.Context(), rita, enroll.TokenOrder{Person: o.Actor(t, who).Person, Life: 24 * time.Hour, Tell: true})
		must(t, err)
	}
	o.Slapd.Modify(t, "dn: "+slapdtest.PersonDN("bob")+"\nchangetype: modify\ndelete: mail\n")
	o.server.Stop()
	if list, _, left := o.slips(t); left != 1 || len(list) != 0 {
		t.Errorf("while the mail server is away, %d wait: %v", left, list)
	}
	if !strings.Contains(o.log.String(), "is not told of an enrolment token") {
		t.Errorf("that bob has no address is not said: %s", o.log)
	}
	o.server.Start(t)
	list, _, left := o.slips(t)
	expect(t, "it is back", list, "alice: "+canBeSetUp)
	if left != 0 {
		t.Errorf("%d wait", left)
	}
	// A mailbox, or a mail server, that does not come back, and a house without one.
	o.server.Stop()
	_, err := o.Enroll.MintTokenFor(t.Context(), rita, enroll.TokenOrder{Person: o.Actor(t, "carol").Person, Life: 24 * time.Hour, Tell: true})
	must(t, err)
	o.Clock.Advance(6 * 24 * time.Hour)
	if _, _, left := o.slips(t); left != 0 {
		t.Errorf("%d are never given up", left)
	}
	o.config.Mail = nil
	o.teller, err = notice.New(o.config)
	must(t, err)
	_, err = o.Enroll.MintTokenFor(t.Context(), rita, enroll.TokenOrder{Person: o.Actor(t, "carol").Person, Life: 24 * time.Hour, Tell: true})
	must(t, err)
	if _, _, left := o.slips(t); left != 0 {
		t.Errorf("%d wait for a mail server that is not there", left)
	}
}
