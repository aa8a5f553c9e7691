package notice_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/internal/jobs"
	"github.com/sealpost/sealpost/internal/mailtest"
	"github.com/sealpost/sealpost/notice"
)

// house has operators.
func withOperators(t *testing.T, addresses ...string) *office {
	t.Helper()
	o := setup(t)
	o.config.Operators = addresses
	var err error
	o.teller, err = notice.New(o.config)
	must(t, err)
	return o
}

// alerted sends what waits, and returns the mails that came, as "login: subject".
func (o *office) alerted(t *testing.T) (list []string, mails []mailtest.Mail, left int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), o.Database.AdminURL())
	must(t, err)
	defer conn.Close(t.Context())
	rows, err := conn.Query(t.Context(), `select id, args::text from river.river_job where kind = 'notice.alert' order by id`)
	must(t, err)
	type waiting struct {
		id   int64
		args string
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (w waiting, err error) { return w, row.Scan(&w.id, &w.args) })
	must(t, err)
	for _, w := range all {
		var j jobs.SendAlert
		must(t, json.Unmarshal([]byte(w.args), &j))
		if err := o.teller.Alert(t.Context(), j); err != nil && o.Clock.Now().Before(j.Until) {
			left++
			continue
		}
		_, err = conn.Exec(t.Context(), `delete from river.river_job where id = $1`, w.id)
		must(t, err)
	}
	mails = o.server.Mails(t)[o.seen:]
	o.seen += len(mails)
	for _, m := range mails {
		login, _, _ := strings.Cut(m.To[0], "@")
		list = append(list, login+": "+m.Header("Subject"))
		if len(m.Defects) > 0 || len(m.To) != 1 {
			t.Errorf("%q, %q", m.Defects, m.To)
		}
	}
	slices.Sort(list)
	return list, mails, left
}

const ftp = "the distribution point ftp"

func failing(grade int, worst string) notice.Matter {
	return notice.Matter{Key: ftp, Grade: grade, About: &notice.Files{Point: true, Worst: worst, Files: []notice.FileAt{{File: "issuing.crl", Address: "ftp://ftp.example.test/issuing.crl",
		Number: 4, Newest: 7, Until: time.Date(2026, 3, 4, 9, 30, 0, 0, time.UTC), Since: time.Date(2026, 3, 3, 9, 30, 0, 0, time.UTC), Failure: "The server does not answer."}}}}
}

// Operators hear of a matter once a day, at once when it becomes worse, and once when it is good again.
func TestOperatorsAreTold(t *testing.T) {
	o := withOperators(t, "olaf@example.test", "petra@example.test")
	step := func(what string, after time.Duration, now []notice.Matter, want ...string) {
		t.Helper()
		o.Clock.Advance(after)
		for range 3 { // it is looked at often
			must(t, o.teller.Attend(t.Context(), "crl", now))
		}
		got, _, left := o.alerted(t)
		expect(t, what, got, want...)
		if left > 0 {
			t.Errorf("%s: %d messages wait", what, left)
		}
	}
	fails, runs, over := []notice.Matter{failing(0, "unknown")}, []notice.Matter{failing(2, "running-out")}, []notice.Matter{failing(3, "run-out")}
	both := func(subject string) []string { return []string{"olaf: " + subject, "petra: " + subject} }
	step("all is well", 0, nil)
	step("it fails", 0, fails, both("Failing: "+ftp)...)
	step("an hour later", time.Hour, fails)
	step("a day later", 23*time.Hour, fails, both("Failing: "+ftp)...)
	step("it becomes worse", time.Hour, runs, both("Running out: "+ftp)...)
	step("better, not good", time.Hour, fails)
	step("as bad as it was", time.Hour, runs)
	step("worse still", time.Hour, over, both("Run out: "+ftp)...)
	step("good", time.Hour, nil, both("Good again: "+ftp)...)
	step("still good", time.Hour, nil)
	step("bad again on the same day", time.Hour, fails)
	step("and good", time.Hour, nil)
	step("and bad the next day", 22*time.Hour, fails, both("Failing: "+ftp)...)
	step("good", time.Hour, nil, both("Good again: "+ftp)...)
	step("a good month", 30*24*time.Hour, nil)
	if n := o.Database.Count(t, `select count(*) from notice.matter`); n != 0 {
		t.Errorf("%d matters are remembered", n)
	}
	step("after it", 0, fails, both("Failing: "+ftp)...)
	drill := []notice.Matter{{Key: "the drill", Every: 7 * 24 * time.Hour, About: &notice.Drill{Due: o.Clock.Now()}}}
	must(t, o.teller.Attend(t.Context(), "drill", drill))
	got, _, _ := o.alerted(t)
	expect(t, "another area", got, both("Overdue: the drill")...)
	step("the first is not forgotten for that", time.Hour, nil, both("Good again: "+ftp)...)
	o.Clock.Advance(6 * 24 * time.Hour)
	must(t, o.teller.Attend(t.Context(), "drill", drill))
	o.Clock.Advance(25 * time.Hour)
	must(t, o.teller.Attend(t.Context(), "drill", drill))
	got, _, _ = o.alerted(t)
	expect(t, "a week later", got, both("Overdue: the drill")...)
}

// What a mail server did not take is offered again, and no more when the next message is due.
func TestOperatorsAreToldWhenTheMailServerIsBack(t *testing.T) {
	o := withOperators(t, "olaf@example.test")
	o.server.Stop()
	must(t, o.teller.Attend(t.Context(), "crl", []notice.Matter{failing(0, "unknown")}))
	if got, _, left := o.alerted(t); len(got) != 0 || left != 1 {
		t.Errorf("%q, %d wait", got, left)
	}
	o.server.Start(t)
	_, mails, _ := o.alerted(t)
	if len(mails) != 1 {
		t.Fatalf("%d mails", len(mails))
	}
	text := strings.Join(strings.Fields(mails[0].Text), " ")
	for _, want := range []string{"distribution point ftp", "issuing.crl", "ftp://ftp.example.test/issuing.crl", "shows: list 4, the newest is 7", "good: until 4 March 2026, 09:30 UTC",
		"failing: since 3 March 2026", "The server does not answer.", "sealpost crl status", "once a day", "Example Ltd"} {
		if !strings.Contains(text, want) {
			t.Errorf("the message lacks %q:\n%s", want, mails[0].Text)
		}
	}
	o.server.Stop()
	o.Clock.Advance(25 * time.Hour)
	must(t, o.teller.Attend(t.Context(), "crl", []notice.Matter{failing(0, "unknown")}))
	o.Clock.Advance(25 * time.Hour)
	must(t, o.teller.Attend(t.Context(), "crl", []notice.Matter{failing(0, "unknown")}))
	o.server.Start(t)
	if got, _, left := o.alerted(t); len(got) != 1 || left != 0 {
		t.Errorf("after two days: %q, %d wait", got, left)
	}
	if log := o.log.String(); !strings.Contains(log, "an operator was not told by mail") {
		t.Errorf("the log does not say that a message was never sent: %s", log)
	}
}

// Without operators' addresses the log says what would have been told.
func TestNoOperators(t *testing.T) {
	o := withOperators(t)
	must(t, o.teller.Attend(t.Context(), "crl", []notice.Matter{failing(0, "unknown")}))
	if got, _, left := o.alerted(t); len(got)+left != 0 || !strings.Contains(o.log.String(), ftp) {
		t.Errorf("%q, %d wait, log %s", got, left, o.log)
	}
}

// Servers that look at the same moment tell once.
func TestTwoServersTellOnce(t *testing.T) {
	o := withOperators(t, "olaf@example.test")
	must(t, o.teller.Attend(t.Context(), "crl", []notice.Matter{failing(0, "unknown")}))
	o.alerted(t)
	o.Clock.Advance(25 * time.Hour)
	done := make(chan error)
	for range 4 {
		go func() { done <- o.teller.Attend(t.Context(), "crl", []notice.Matter{failing(0, "unknown")}) }()
	}
	for range 4 {
		must(t, <-done)
	}
	if got, _, _ := o.alerted(t); len(got) != 1 {
		t.Errorf("%q", got)
	}
}
