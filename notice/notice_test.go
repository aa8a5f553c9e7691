package notice_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/jobs"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/slapdtest"
	"github.com/sealpost/sealpost/notice"
	"github.com/sealpost/sealpost/recovery"
)

// Somebody restores their own keys: they hear of every step, the officers are asked and hear when it is done.
func TestRestore(t *testing.T) {
	o := setup(t)
	alice := o.archived(t, "alice", 2)
	k := o.ask(t, record.CaseRestore, "alice", time.Time{}, "alice")
	got, mails := o.told(t)
	expect(t, "asked for", got, "alice: You asked to get your mail keys back", "olivia: Please decide: keys of Alice Anders",
		"oscar: Please decide: keys of Alice Anders", "otto: Please decide: keys of Alice Anders")
	for _, command := range []string{"show", "approve", "deny"} {
		if !strings.Contains(mails["olivia"].Text, "\n    sealpost-kra "+command+" "+k.ID.String()+"\n") {
			t.Errorf("the officer is not told how to %s:\n%s", command, mails["olivia"].Text)
		}
	}
	for _, says := range []string{"Dear Alice Anders,", "2 keys", "2 officers must agree", "If this was not you", "the help desk, telephone 4711", "Example Ltd", k.ID.String()} {
		if !strings.Contains(strings.Join(strings.Fields(mails["alice"].Text), " "), says) {
			t.Errorf("no %q in:\n%s", says, mails["alice"].Text)
		}
	}
	if at, err := o.teller.Told(t.Context(), []uuid.UUID{k.ID, uuid.New()}); err != nil || len(at) != 1 || at[k.ID].IsZero() {
		t.Errorf("told: %v, %v", at, err)
	}
	o.approve(t, k, 3)
	got, _ = o.told(t)
	expect(t, "one answer", got, "alice: Otto Officer has agreed")
	o.approve(t, k, 1)
	got, _ = o.told(t)
	expect(t, "two answers", got, "alice: Olivia Officer has agreed", "alice: You can get your mail keys back now")
	_, err := o.Recovery.Collect(t.Context(), alice.Actor, k.ID, 0)
	must(t, err)
	got, _ = o.told(t)
	collected := "Keys of Alice Anders were collected"
	expect(t, "collected", got, "alice: Your mail keys were given out", "olivia: "+collected, "oscar: "+collected, "otto: "+collected)
	for range 3 {
		_, err = o.Recovery.Collect(t.Context(), alice.Actor, k.ID, 0)
		must(t, err)
	}
	got, _ = o.told(t)
	expect(t, "collected thrice more on one day", got, "alice: Your mail keys were given out once more")
	o.Clock.Advance(24 * time.Hour)
	_, err = o.Recovery.Collect(t.Context(), alice.Actor, k.ID, 0)
	must(t, err)
	got, _ = o.told(t)
	expect(t, "collected the day after", got, "alice: Your mail keys were given out once more")
	_, err = o.Recovery.Close(t.Context(), alice.Actor, k.ID)
	must(t, err)
	got, _ = o.told(t)
	expect(t, "closed", got, "alice: Your case is closed")
}

// What the officers have to hear from the person is in no mail of the case, to nobody: a server that puts a key of its own into the case writes the mails, too. The mail to the
// person says where it is instead.
func TestNoMailHasTheWords(t *testing.T) {
	o := setup(t)
	alice := o.archived(t, "alice", 2)
	k := o.ask(t, record.CaseRestore, "alice", time.Time{}, "alice")
	_, mails := o.told(t)
	if text := oneLine(mails["alice"].Text); !strings.Contains(mails["alice"].Text, "\n    sealpost-agent restore status\n") || !strings.Contains(text, "only from the screen of that computer") || !strings.Contains(text, "in no message") {
		t.Errorf("alice is not told where the words are:\n%s", text)
	}
	o.approve(t, k, 3)
	o.told(t)
	o.approve(t, k, 1)
	o.told(t)
	_, err := o.Recovery.Collect(t.Context(), alice.Actor, k.ID, 0)
	must(t, err)
	o.told(t)
	fingerprint := record.Fingerprint(alice.device)
	words := fingerprint.Words()
	never := []string{fingerprint.String()[:16], base64.StdEncoding.EncodeToString(fingerprint[:12])}
	for i := range words[1:] {
		never = append(never, words[i]+" "+words[i+1]) // one alone may be a word of English
	}
	all := o.server.Mails(t)
	if len(all) < 8 {
		t.Errorf("%d mails alone", len(all))
	}
	for _, m := range all {
		text := strings.ToLower(oneLine(m.Text))
		for _, n := range never {
			if strings.Contains(text, strings.ToLower(n)) {
				t.Errorf("a mail to %s has %q:\n%s", m.To, n, m.Text)
			}
		}
	}
}

// Keys of others: the subject knows from the start, sees who receives, and nothing of other subjects.
func TestBusinessCase(t *testing.T) {
	o := setup(t)
	o.archived(t, "alice", 1)
	o.archived(t, "carol", 2)
	k := o.ask(t, record.CaseBusiness, "rita", time.Time{}, "alice", "carol")
	got, mails := o.told(t)
	var decide string
	for _, line := range got {
		if login, rest, _ := strings.Cut(line, ": "); login == "oscar" {
			decide = rest
		}
	}
	if !strings.Contains(decide, "Alice Anders") || !strings.Contains(decide, " and ") || !strings.Contains(decide, "Carol Müller-Żak") {
		t.Errorf("the officers decide about %q", decide)
	}
	expect(t, "asked for", got, "alice: Somebody asked to open your mail keys", "carol: Somebody asked to open your mail keys",
		"olivia: "+decide, "oscar: "+decide, "otto: "+decide, "rita: Your request to open keys was received")
	text := strings.Join(strings.Fields(mails["carol"].Text), " ")
	if !strings.Contains(text, "2 keys of yours") || !strings.Contains(text, "handed to Bob Brown") || strings.Contains(text, "Alice") {
		t.Errorf("carol reads:\n%s", mails["carol"].Text)
	}
	if got := mails["carol"].HeaderTo[0]; got != [2]string{"Carol Müller-Żak", "carol@example.test"} {
		t.Errorf("to %q", got)
	}
	o.approve(t, k, 1, 2)
	got, mails = o.told(t)
	expect(t, "approved", got, "rita: Olivia Officer has agreed", "rita: Oscar Officer has agreed", "rita: The officers have agreed", "bob: Keys are ready for you",
		"alice: Your mail keys may now be opened", "carol: Your mail keys may now be opened")
	if !strings.Contains(mails["bob"].Text, "\n    sealpost-kra open "+k.ID.String()+"\n") {
		t.Errorf("bob reads:\n%s", mails["bob"].Text)
	}
	_, err := o.Recovery.Collect(t.Context(), o.person(t, "bob").Actor, k.ID, 0)
	must(t, err)
	got, _ = o.told(t)
	if len(got) != 7 || got[0] != "alice: Your mail keys were opened" || got[1] != "bob: You collected keys" || got[6] != "rita: The keys were collected" {
		t.Errorf("collected: %q", got)
	}
	o.Clock.Advance(80 * time.Hour)
	must(t, o.Recovery.Expire(t.Context()))
	got, _ = o.told(t)
	officers := slices.DeleteFunc(slices.Clone(got), func(line string) bool { return !strings.Contains(line, "The time is over: keys of") })
	expect(t, "expired", got, append(officers, "alice: The time for opening your mail keys is over", "carol: The time for opening your mail keys is over",
		"rita: The time for your case is over")...)
	if len(officers) != 3 {
		t.Errorf("the officers: %q", officers)
	}
}

// Whoever cannot decide is not asked, and everybody gets one mail whatever their parts.
func TestOneMailForAllParts(t *testing.T) {
	o := setup(t)
	o.archived(t, "otto", 1)
	o.ask(t, record.CaseBusiness, "rita", time.Time{}, "otto")
	got, _ := o.told(t)
	expect(t, "an officer's keys", got, "olivia: Please decide: keys of Otto Officer", "oscar: Please decide: keys of Otto Officer",
		"otto: Somebody asked to open your mail keys", "rita: Your request to open keys was received")
}

// The subject of a silent case hears nothing, in no part and however late a job is, until the silence ends. Then they hear,
// once: also when the agents were replaced meanwhile, and when the mail server was away at that moment.
func TestSilence(t *testing.T) {
	o := setup(t)
	o.archived(t, "otto", 1)
	until := o.Clock.Now().Add(30 * 24 * time.Hour).UTC().Truncate(time.Second)
	k := o.ask(t, record.CaseLegal, "rita", until, "otto")
	got, mails := o.told(t)
	expect(t, "asked for", got, "olivia: Please decide: keys of one person", "oscar: Please decide: keys of one person", "rita: Your request to open keys was received")
	for login, m := range mails {
		if strings.Contains(m.Raw, "Otto") {
			t.Errorf("the mail to %s names the subject:\n%s", login, m.Text)
		}
	}
	reveal := func() {
		t.Helper()
		must(t, o.teller.Reveal(t.Context()))
	}
	reveal()
	o.approve(t, k, 1, 2)
	_, err := o.Recovery.Collect(t.Context(), o.person(t, "bob").Actor, k.ID, 0)
	must(t, err)
	got, _ = o.told(t)
	expect(t, "approved and collected", got, "rita: Olivia Officer has agreed", "rita: Oscar Officer has agreed", "rita: The keys were collected",
		"bob: You collected keys", "olivia: Keys of one person were collected", "oscar: Keys of one person were collected")
	o.Clock.Advance(30*24*time.Hour - time.Minute)
	must(t, o.Recovery.Expire(t.Context()))
	reveal()
	got, _ = o.told(t)
	expect(t, "a minute before", got, "rita: The time for your case is over", "olivia: The time is over: keys of one person", "oscar: The time is over: keys of one person")
	o.Clock.Advance(time.Minute)
	// What happened in the silence comes in one mail, and not again by jobs that are late.
	for _, about := range []string{"requested", "approved", "released", "expired"} {
		must(t, o.teller.Tell(t.Context(), jobs.TellCase{Case: k.ID, About: about}))
	}
	got, _ = o.told(t)
	expect(t, "late jobs", got)

	o.replaceAgents(t)
	o.server.Stop()
	reveal()
	reveal()
	if errs := o.work(t); len(errs) != 1 || !errors.Is(errs[0], mail.ErrUnavailable) {
		t.Errorf("without a server: %v", errs)
	}
	o.server.Start(t)
	got, mails = o.told(t)
	expect(t, "the silence has ended", got, "otto: Your mail keys were opened")
	text := strings.Join(strings.Fields(mails["otto"].Text), " ")
	for _, says := range []string{"Rita Registrar asked in a legal case", "1 key of yours", "handed to Bob Brown", "You were not told at the time", k.Opened.Format("2 January 2006")} {
		if !strings.Contains(text, says) {
			t.Errorf("no %q in:\n%s", says, mails["otto"].Text)
		}
	}
	o.Clock.Advance(24 * time.Hour)
	reveal()
	got, _ = o.told(t)
	expect(t, "and once", got)
}

// replaceAgents takes the roster's pin out of the configuration.
func (o *office) replaceAgents(t *testing.T) {
	t.Helper()
	a, err := archive.New(archive.Config{DB: o.DB, Pins: []record.Hash{{1}}, Wrapping: []*record.WrappingKey{o.Wrapping}, Receipts: o.Archive.Receipts, Now: o.Clock.Now})
	must(t, err)
	d, err := recovery.New(recovery.Config{Archive: a, Authority: o.PKI.Authority, Directory: o.Directory, Jobs: o.PKI.Jobs, Audit: o.Audit, Now: o.Clock.Now})
	must(t, err)
	c := o.config
	c.Cases = d.Cases
	o.teller, err = notice.New(c)
	must(t, err)
}

// A silent case that is never opened is told of as well; and what happens after the silence, as it happens.
func TestSilenceEndsBeforeTheCase(t *testing.T) {
	o := setup(t)
	o.archived(t, "alice", 1)
	k := o.ask(t, record.CaseLegal, "rita", o.Clock.Now().Add(time.Hour).UTC().Truncate(time.Second), "alice")
	o.told(t)
	o.Clock.Advance(2 * time.Hour)
	must(t, o.teller.Reveal(t.Context()))
	got, _ := o.told(t)
	expect(t, "the silence has ended", got, "alice: Somebody asked to open your mail keys")
	_, err := o.Recovery.Cancel(t.Context(), o.person(t, "rita").Actor, k.ID, reason)
	must(t, err)
	got, _ = o.told(t)
	back := "Taken back: keys of Alice Anders"
	expect(t, "cancelled", got, "alice: Your mail keys stay closed", "rita: You took your request back", "olivia: "+back, "oscar: "+back, "otto: "+back)
}

// Repeated jobs tell nobody twice; a message that may have been taken is sent once more, under the same id, and no more.
func TestNobodyIsToldTwice(t *testing.T) {
	o := setup(t)
	o.archived(t, "alice", 1)
	k := o.ask(t, record.CaseRestore, "alice", time.Time{}, "alice")
	o.told(t)
	tell := jobs.TellCase{Case: k.ID, About: "requested"}
	must(t, o.teller.Tell(t.Context(), tell))
	alice := jobs.SendNotice{Case: k.ID, About: "requested", Person: o.person(t, "alice").Person}
	must(t, o.teller.Send(t.Context(), alice))
	must(t, o.teller.Send(t.Context(), jobs.SendNotice{Case: k.ID, About: "requested", Person: uuid.New()}))
	got, _ := o.told(t)
	expect(t, "repeated", got)
	// A process that died after the server took the message, before it could note that.
	first := o.server.Mails(t)
	o.Database.Exec(t, `update notice.mail set outcome = null, done_at = null where person = $1`, alice.Person)
	must(t, o.teller.Send(t.Context(), alice))
	got, mails := o.arrived(t)
	expect(t, "after a crash", got, "alice: You asked to get your mail keys back")
	found := false
	for _, m := range first {
		found = found || m.Header("Message-ID") == mails["alice"].Header("Message-ID")
	}
	if !found {
		t.Error("the repetition has another Message-ID")
	}
	// A server that takes and does not answer.
	o.approve(t, k, 1)
	must(t, o.teller.Tell(t.Context(), jobs.TellCase{Case: k.ID, About: "answered"}))
	o.server.Mute(t, true)
	answered := jobs.SendNotice{Case: k.ID, About: "answered/1", Person: alice.Person}
	if err := o.teller.Send(t.Context(), answered); !errors.Is(err, mail.ErrUnanswered) {
		t.Errorf("no answer: %v", err)
	}
	for range 3 {
		must(t, o.teller.Send(t.Context(), answered))
	}
	o.server.Mute(t, false)
	got, _ = o.told(t)
	expect(t, "no answers", got, "alice: Olivia Officer has agreed", "alice: Olivia Officer has agreed")
}

// One mailbox that takes nothing keeps nobody from being told; it is tried for five days.
func TestRefusedMailbox(t *testing.T) {
	o := setup(t)
	o.archived(t, "alice", 1)
	o.Slapd.Modify(t, "dn: uid=olivia,"+slapdtest.People+"\nchangetype: modify\nreplace: mail\nmail: refused@example.test\n")
	o.Slapd.Modify(t, "dn: uid=oscar,"+slapdtest.People+"\nchangetype: modify\nreplace: mail\nmail: later@example.test\n")
	o.Clock.Advance(time.Minute) // the directory's memory
	o.ask(t, record.CaseRestore, "alice", time.Time{}, "alice")
	for _, d := range []time.Duration{0, time.Hour, 4 * 24 * time.Hour} {
		o.Clock.Advance(d)
		errs := o.work(t)
		if len(errs) != 2 || !errors.Is(errors.Join(errs...), mail.ErrRefused) || !errors.Is(errors.Join(errs...), mail.ErrUnavailable) {
			t.Errorf("after %s: %v", d, errs)
		}
	}
	got, _ := o.arrived(t)
	expect(t, "the others", got, "alice: You asked to get your mail keys back", "otto: Please decide: keys of Alice Anders")
	o.Clock.Advance(24 * time.Hour)
	if errs := o.work(t); len(errs) != 1 || !errors.Is(errs[0], mail.ErrUnavailable) {
		t.Errorf("after five days: %v", errs)
	}
	if n := o.Database.Count(t, `select count(*) from notice.mail where outcome = 'refused'`); n != 1 {
		t.Errorf("%d were given up", n)
	}
	if !strings.Contains(o.log.String(), "is not told of a recovery case") {
		t.Errorf("the log does not say so:\n%s", o.log)
	}
	// The request that oscar could not be asked about is over.
	k := o.Database
	must(t, o.Recovery.Expire(t.Context()))
	if errs := o.work(t); len(errs) != 2 { // that it is over does not reach these mailboxes either
		t.Errorf("when the case is over: %v", errs)
	}
	if n := k.Count(t, `select count(*) from notice.mail where outcome = 'overtaken'`); n != 1 {
		t.Errorf("%d requests were dropped", n)
	}
}

// Who left is told at the address under which their key was archived, or that their certificate has.
func TestPeopleWhoLeft(t *testing.T) {
	o := setup(t)
	o.archived(t, "alice", 2)
	o.archived(t, "dave", 1)
	k := o.ask(t, record.CaseBusiness, "rita", time.Time{}, "alice", "dave")
	o.approve(t, k, 1)
	for _, login := range []string{"alice", "rita", "olivia"} {
		o.Slapd.Modify(t, "dn: uid="+login+","+slapdtest.People+"\nchangetype: delete\n")
	}
	o.Clock.Advance(time.Minute)
	got, mails := o.told(t)
	if len(got) != 7 {
		t.Errorf("told: %q", got)
	}
	for login, subject := range map[string]string{"alice.archived": "Somebody asked to open your mail keys", "dave": "Somebody asked to open your mail keys", "rita": ""} {
		m, ok := mails[login]
		if !ok || subject != "" && m.Header("Subject") != subject {
			t.Errorf("%s: %q", login, m.Headers)
		}
	}
	if !strings.Contains(mails["alice.archived"].Text, "Dear Alice Anders,") {
		t.Error(mails["alice.archived"].Text)
	}
}

// Names come from a directory that many write to. They add nothing to a mail but themselves.
func TestHostileNames(t *testing.T) {
	o := setup(t)
	o.archived(t, "carol", 1)
	for login, name := range map[string]string{
		"alice":  strings.Repeat("Very Long Name ", 15),
		"carol":  `"Carol" <mallory@example.test>, =?utf-8?Q?=0D=0ABcc:_m@example.test?=`,
		"olivia": "{{.Case}} {{template \"x\"}} %s %[1]d \\r\\nBcc: m@example.test",
		"oscar":  "Oscar; DROP TABLE notice.mail --",
	} {
		o.Slapd.Modify(t, fmt.Sprintf("dn: uid=%s,%s\nchangetype: modify\nreplace: cn\ncn: %s\n", login, slapdtest.People, name))
	}
	o.Clock.Advance(time.Minute)
	o.ask(t, record.CaseBusiness, "rita", time.Time{}, "carol")
	_, mails := o.told(t)
	if len(mails) != 5 {
		t.Fatalf("%d mails", len(mails))
	}
	for login, m := range mails {
		if len(m.Headers) != 9 || len(m.HeaderTo) != 1 || m.HeaderTo[0][1] != login+"@example.test" {
			t.Errorf("%s: %q, to %q", login, m.Headers, m.HeaderTo)
		}
	}
	if !strings.Contains(mails["olivia"].Text, "{{.Case}} {{template") {
		t.Errorf("olivia reads:\n%s", mails["olivia"].Text)
	}
}

// By the queue itself: a server that is away for a while loses nothing, and what was told is told once.
func TestServerAwayForAWhile(t *testing.T) {
	o := setup(t)
	o.archived(t, "alice", 1)
	q, err := jobs.New(jobs.Config{DB: o.DB})
	must(t, err)
	o.teller.Register(q)
	o.server.Stop()
	must(t, q.Start(t.Context()))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
		defer cancel()
		if err := q.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	o.ask(t, record.CaseRestore, "alice", time.Time{}, "alice")
	for begin := time.Now(); o.Database.Count(t, `select count(*) from river.river_job where kind = 'notice.send' and attempt > 0 and state in ('retryable', 'scheduled')`) < 4; time.Sleep(50 * time.Millisecond) {
		if time.Since(begin) > 30*time.Second {
			t.Fatal("nobody tried to send")
		}
	}
	o.server.Start(t)
	o.server.Wait(t, 4)
	for begin := time.Now(); o.Database.Count(t, `select count(*) from notice.mail where outcome = 'sent'`) < 4; time.Sleep(50 * time.Millisecond) {
		if time.Since(begin) > 30*time.Second {
			t.Fatal("it is not noted who was told")
		}
	}
	got, _ := o.arrived(t)
	expect(t, "told", got, "alice: You asked to get your mail keys back", "olivia: Please decide: keys of Alice Anders",
		"oscar: Please decide: keys of Alice Anders", "otto: Please decide: keys of Alice Anders")
}

// Without a mail server nothing piles up, and the log says once that nobody is told.
func TestNoMailServer(t *testing.T) {
	o := setup(t)
	o.archived(t, "alice", 1)
	var log bytes.Buffer
	c := o.config
	c.Mail, c.Log = nil, slog.New(slog.NewTextHandler(&log, nil))
	mute, err := notice.New(c)
	must(t, err)
	q, err := jobs.New(jobs.Config{DB: o.DB})
	must(t, err)
	mute.Register(q)
	k := o.ask(t, record.CaseRestore, "alice", time.Time{}, "alice")
	must(t, mute.Tell(t.Context(), jobs.TellCase{Case: k.ID, About: "requested"}))
	must(t, mute.Reveal(t.Context()))
	if n := o.Database.Count(t, `select count(*) from notice.mail`); n != 0 {
		t.Errorf("%d mails wait", n)
	}
	if strings.Count(log.String(), "no mail server is configured") != 1 {
		t.Errorf("the log says:\n%s", &log)
	}
	if err := mute.Send(t.Context(), jobs.SendNotice{Case: k.ID, About: "requested", Person: o.person(t, "alice").Person}); !errors.Is(err, notice.ErrNoMail) {
		t.Errorf("a mail of before: %v", err)
	}
	c.Cases = nil
	if _, err := notice.New(c); err != nil {
		t.Error(err)
	}
	must(t, o.teller.Tell(t.Context(), jobs.TellCase{Case: k.ID, About: "unheard-of"}))
	if err := o.teller.Tell(t.Context(), jobs.TellCase{Case: uuid.New(), About: "requested"}); err == nil {
		t.Error("a case that is not there is told of")
	}
}

// A subject whose keys are handed out after the silence hears of it, though the case was released before; and of what was
// handed out in the silence, in one mail when it ends.
func TestCollectionsAfterTheSilence(t *testing.T) {
	o := setup(t)
	o.archived(t, "alice", 1)
	k := o.ask(t, record.CaseLegal, "rita", o.Clock.Now().Add(time.Hour).UTC().Truncate(time.Second), "alice")
	o.approve(t, k, 1, 2)
	collect := func() {
		t.Helper()
		_, err := o.Recovery.Collect(t.Context(), o.person(t, "bob").Actor, k.ID, 0)
		must(t, err)
	}
	alices := func() (out []string) {
		t.Helper()
		got, _ := o.told(t)
		return slices.DeleteFunc(got, func(line string) bool { return !strings.HasPrefix(line, "alice: ") })
	}
	collect()
	collect()
	expect(t, "in the silence", alices())
	o.Clock.Advance(25 * time.Hour)
	must(t, o.teller.Reveal(t.Context()))
	expect(t, "the silence has ended", alices(), "alice: Your mail keys were opened")
	collect()
	expect(t, "after the silence", alices(), "alice: Your mail keys were handed out once more")
}
