package notice

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"text/template"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/internal/jobs"
	"github.com/sealpost/sealpost/internal/mail"
)

// Matter is something that operators must look after.
type Matter struct {
	// Key names it in a sentence, and is the same as long as it lasts: "the distribution point ftp".
	Key   string
	Grade int           // how bad it is: a worse one than they were told of is told at once
	Every time.Duration // how often they are told at most; 0 means once a day
	About About
}

// About is what a matter is about: *Files or *Drill.
type About interface{ template() string }

// Files are files at a distribution point, or newest lists, that are not as they should be.
type Files struct {
	Point  bool   // at a distribution point
	Others bool   // lists that others make
	Worst  string // run-out, running-out, or something else
	Files  []FileAt
	More   int // besides those
}

// FileAt is one of them. What is zero or empty is not said.
type FileAt struct {
	File           string
	Address        string
	Number, Newest int64 // of the list that is shown, and of the newest
	Until          time.Time
	Since          time.Time // failing
	Failure        string
}

// Drill is one that is overdue.
type Drill struct{ Last, Due time.Time }

func (f *Files) template() string {
	if f.Point {
		return "point"
	}
	return "lists"
}

func (*Drill) template() string { return "drill" }

const (
	daily = 24 * time.Hour
	// weekly is written "once a week" in messages.
	weekly = 7 * daily
	// goodLasts is how long it is tried to say that something is good again.
	goodLasts = 5 * daily
	good      = "good"
)

// Attend is told how all matters of an area stand, as often as that is looked at, by one server at a time. It has the operators
// told of each, at most once in its time unless it became worse, and of each that is over, once. Without operators or a mail
// server the log alone says so.
func (t *Teller) Attend(ctx context.Context, area string, matters []Matter) error {
	now := t.Now()
	return t.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		known, err := selectMatters(ctx, tx, area)
		if err != nil {
			return err
		}
		var send []jobs.Args
		say := func(m Matter, what string, until time.Time) error {
			t.Log.Warn("operators are told", "area", area, "matter", m.Key, "what", what)
			more, err := t.alerts(area, m, what, now, until)
			send = append(send, more...)
			return err
		}
		for _, m := range matters {
			if m.Every == 0 {
				m.Every = daily
			}
			k, told := known[m.Key]
			delete(known, m.Key)
			if told && now.Sub(k.told) < m.Every && m.Grade <= k.grade {
				continue
			}
			if err := upsertMatter(ctx, tx, area, m, now); err != nil {
				return err
			}
			if err := say(m, m.About.template(), now.Add(m.Every)); err != nil {
				return err
			}
		}
		for key, k := range known {
			if !k.good {
				if err := say(Matter{Key: key}, good, now.Add(goodLasts)); err != nil {
					return err
				}
			}
			if err := endMatter(ctx, tx, area, key, now.Sub(k.told) > weekly); err != nil {
				return err
			}
		}
		if len(send) == 0 {
			return nil
		}
		return t.Jobs.Insert(ctx, tx, send...)
	})
}

// alerts are the messages to all operators.
func (t *Teller) alerts(area string, m Matter, what string, now, until time.Time) (out []jobs.Args, err error) {
	if t.Mail == nil || len(t.Operators) == 0 {
		return nil, nil
	}
	subject, text, err := t.alarms.write(what, newAlarm(m, t.Organisation, now))
	for _, to := range t.Operators {
		sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s\n%s\n%d", area, m.Key, what, to, now.UnixNano()))
		out = append(out, jobs.SendAlert{ID: hex.EncodeToString(sum[:16]) + ".alert", Address: to, Subject: subject, Text: text, Until: until})
	}
	return out, err
}

// Alert sends one message to an operator. It is repeated until the message is out, or its time is over: then the next one is
// due.
func (t *Teller) Alert(ctx context.Context, j jobs.SendAlert) error {
	if t.Mail == nil {
		return jobs.Cancel(ErrNoMail)
	}
	if !t.Now().Before(j.Until) {
		t.Log.Error("an operator was not told by mail", "subject", j.Subject)
		return jobs.Cancel(errors.New("its time is over"))
	}
	err := t.Mail.Send(ctx, mail.Message{ID: j.ID, Address: j.Address, Subject: j.Subject, Text: j.Text})
	if errors.Is(err, mail.ErrRefused) {
		t.Log.Error("an operator's mailbox takes no messages", "subject", j.Subject, "error", err)
	}
	return err
}

// alarm is what a message to operators may say.
type alarm struct {
	Key, Organisation, Often, Now string
	Body                          string

	Worst, Last, Due string
	Others           bool
	More             int
	Files            []alarmFile
}

// alarmFile is a FileAt in words.
type alarmFile struct {
	File, Address, Until, Since, Failure string
	Number, Newest                       int64
}

// mostFiles are named in one message.
const mostFiles = 8

func newAlarm(m Matter, organisation string, now time.Time) *alarm {
	a := &alarm{Key: m.Key, Organisation: short(organisation), Now: moment(now)}
	switch {
	case m.About == nil: // it is good
	case m.Every >= weekly:
		a.Often = "once a week"
	default:
		a.Often = "once a day"
	}
	switch about := m.About.(type) {
	case *Drill:
		a.Last, a.Due = maybe(about.Last, day), day(about.Due)
	case *Files:
		a.Worst, a.Others, a.More = about.Worst, about.Others, about.More+max(0, len(about.Files)-mostFiles)
		for _, f := range about.Files[:min(mostFiles, len(about.Files))] {
			a.Files = append(a.Files, alarmFile{File: f.File, Address: f.Address, Until: maybe(f.Until, moment), Since: maybe(f.Since, moment),
				Failure: strings.Join(strings.Fields(f.Failure), " "), Number: f.Number, Newest: f.Newest})
		}
	}
	return a
}

func maybe(t time.Time, write func(time.Time) string) string {
	if t.IsZero() {
		return ""
	}
	return write(t)
}

func day(t time.Time) string { return t.UTC().Format("2 January 2006") }

func (a *alarm) put(body string) { a.Body = body }

// framed is what a message says, whose body is put into a frame.
type framed interface{ put(body string) }

// alarms are templates of messages in one frame, by name.
type alarms struct {
	subjects, texts map[string]*template.Template
}

func readAlarms(folder string, names ...string) (alarms, error) {
	l := alarms{map[string]*template.Template{}, map[string]*template.Template{}}
	for _, name := range append([]string{frame}, names...) {
		b, err := files.ReadFile("templates/" + folder + "/" + name + ".txt")
		if err != nil {
			return l, err
		}
		text := string(b)
		if name != frame {
			first, rest, _ := strings.Cut(text, "\n")
			if l.subjects[name], err = parse(name, strings.TrimPrefix(first, "Subject: ")); err != nil {
				return l, err
			}
			text = rest
		}
		if l.texts[name], err = parse(name, text); err != nil {
			return l, err
		}
	}
	return l, nil
}

// write returns subject and text of a message.
func (l alarms) write(name string, a framed) (subject, text string, err error) {
	run := func(t *template.Template) string {
		var b bytes.Buffer
		if e := t.Execute(&b, a); err == nil {
			err = e
		}
		return strings.TrimSpace(b.String())
	}
	subject = run(l.subjects[name])
	a.put(run(l.texts[name]))
	return subject, wrap(run(l.texts[frame])), err
}
