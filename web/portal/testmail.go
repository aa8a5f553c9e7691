package portal

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sealpost/sealpost/testmail"
)

// routeTestMail has the pages of the test mail. Without a test mailbox there are none.
func (p *Portal) routeTestMail() {
	if p.TestMail == nil {
		return
	}
	p.router.Get("/test", p.known("test", p.testMail))
	p.router.Post("/test", p.known("test-begin", p.beginTestMail))
	p.router.Get("/test/state", p.known("test-state", p.testMailState))
}

// trial is a test as its page shows it.
type trial struct {
	testmail.Test
	Open   bool
	Worst  string // pill
	Found  []found
	Notice string // a key of texts; "" if there is nothing to say
}

// found is a finding in words.
type found struct {
	Pill  string // good, warn, bad or off
	Title string
	Facts []string
	Do    string // what to do about it; "" if nothing
}

// testMailPage is the page of test mails.
type testMailPage struct {
	Fault   string // why no mail was sent
	Missing bool   // there is no certificate to encrypt to
	Address string // of the test mailbox
	Now     *trial // the newest test, if it is not long ago
	State   string // of all that the page shows, to be compared
	Away    bool   // the mailbox cannot be read
	Before  []trial
}

func (p *Portal) testMail(w http.ResponseWriter, r *http.Request, v *visit) error {
	return p.showTestMail(w, r, v, http.StatusOK, "")
}

func (p *Portal) showTestMail(w http.ResponseWriter, r *http.Request, v *visit, status int, said string) error {
	tests, err := p.TestMail.Tests(r.Context(), v.Caller.Actor)
	if err != nil {
		return err
	}
	look, err := p.TestMail.LastLook(r.Context())
	if err != nil {
		return err
	}
	body := testMailPage{Fault: said, Address: p.TestMail.Address, State: stateOfTests(tests), Away: !look.Failed.IsZero()}
	if body.Missing, err = p.cannotRead(r, v); err != nil {
		return err
	}
	for i, t := range tests {
		shown := p.trial(v.language, t)
		if i == 0 && (shown.Open || p.Now().Sub(t.Begun) < 24*time.Hour) {
			body.Now = &shown
		} else {
			body.Before = append(body.Before, shown)
		}
	}
	return p.show(w, r, v, status, "testmail", "testmail.title", body)
}

// cannotRead reports whether somebody has no certificate that mail to them could be encrypted to.
func (p *Portal) cannotRead(r *http.Request, v *visit) (bool, error) {
	have, err := p.mine(r.Context(), v)
	return slices.ContainsFunc(cards(have), func(c card) bool { return c.Name == "read" && c.Missing() }), err
}

// beginTestMail sends somebody a test mail, in their language.
func (p *Portal) beginTestMail(w http.ResponseWriter, r *http.Request, v *visit) error {
	if _, err := readForm(w, r); err != nil {
		return err
	}
	_, err := p.TestMail.Begin(r.Context(), v.Caller.Actor, testmail.Letter{Subject: v.language.say("testmail.mail.subject"), Text: v.language.say("testmail.mail.text")})
	if err == nil {
		return p.done(w, r, "/test", "testmail.begun")
	}
	for _, mendable := range []error{testmail.ErrTooMany, testmail.ErrNoCertificate, testmail.ErrNoAddress, testmail.ErrNotReady} {
		if errors.Is(err, mendable) {
			said, _, _ := p.refusal(r, v, err)
			return p.showTestMail(w, r, v, http.StatusUnprocessableEntity, said)
		}
	}
	return err
}

// testMailState is what the page's script compares, to see whether there is something new.
func (p *Portal) testMailState(w http.ResponseWriter, r *http.Request, v *visit) error {
	tests, err := p.TestMail.Tests(r.Context(), v.Caller.Actor)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write([]byte(stateOfTests(tests))) // a browser that went away needs no answer
	return nil
}

// stateOfTests changes when what the page says of them does.
func stateOfTests(tests []testmail.Test) string {
	h := sha256.New()
	e := json.NewEncoder(h)
	for _, t := range tests {
		_ = e.Encode([]any{t.ID, t.State, t.Answers, t.Notice, t.Failure}) // a digest takes all
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// pills are how grades look.
var pills = map[testmail.Grade]string{testmail.Good: "good", testmail.Warn: "warn", testmail.Bad: "bad", testmail.Note: "off"}

func (p *Portal) trial(l language, t testmail.Test) trial {
	out := trial{Test: t, Open: t.Open(p.Now()), Worst: pills[testmail.Worst(t.Findings)]}
	for _, f := range t.Findings {
		out.Found = append(out.Found, l.found(f))
	}
	slices.SortStableFunc(out.Found, func(a, b found) int { return urgency[a.Pill] - urgency[b.Pill] })
	switch {
	case t.State == testmail.Sending && t.Failure != "":
		out.Notice = "testmail.notice.later"
	case t.State == testmail.Failed:
		out.Notice = "testmail.notice.refused"
	case t.Notice != "":
		out.Notice = "testmail.notice." + t.Notice
	}
	return out
}

// urgency is the order in which people read what was found.
var urgency = map[string]int{"bad": 0, "warn": 1, "good": 2, "off": 3}

// testMailFacts are what findings may tell, in the order in which they are read.
var testMailFacts = []string{"program", "cipher", "digest", "algorithm", "list", "issuer", "until", "from", "certificate"}

// found puts a finding into words. Its facts come from an answer that anybody may have written: they are shown as they are, as text.
func (l language) found(f testmail.Finding) found {
	out := found{Pill: pills[f.Grade], Title: l.say("testmail.found." + f.Code)}
	if do := "testmail.do." + f.Code; texts[do].EN != "" {
		out.Do = l.say(do)
	}
	for _, name := range testMailFacts {
		value := f.Facts[name]
		if value == "" {
			continue
		}
		if day, err := time.Parse(time.DateOnly, value); name == "until" && err == nil {
			value = l.date(day)
		}
		out.Facts = append(out.Facts, strings.TrimSpace(l.say("testmail.fact."+name, value)))
	}
	return out
}
