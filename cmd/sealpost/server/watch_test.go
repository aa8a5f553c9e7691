package server

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/crl"
	"github.com/sealpost/sealpost/notice"
)

// What operators hear of: each point, and each issuer's lists, as one matter; and a list that is nowhere newer only as such.
func TestMatters(t *testing.T) {
	t.Parallel()
	now := time.Now()
	at := func(d time.Duration) *time.Time { u := now.Add(d); return &u }
	status := &crl.Status{At: now,
		Lists: []crl.Newest{
			{Issuer: "a", File: "a.crl", Number: 7, NextUpdate: now.Add(time.Hour), State: crl.RunningOut, Urgent: true},
			{Issuer: "a", File: "a.delta.crl", Number: 7, NextUpdate: now.Add(-time.Hour), State: crl.RunOut, Urgent: true},
			{Issuer: "b", File: "b.crl", Number: 3, State: crl.OK},
			{File: "root.crl", State: crl.Unknown, Urgent: true, Failure: "The file cannot be read."}},
		Points: []crl.Standing{
			{Point: "http", File: "a.crl", Newest: 7, Number: 7, NextUpdate: at(time.Hour), State: crl.RunningOut, Urgent: true},
			{Point: "http", File: "b.crl", Newest: 3, Number: 3, State: crl.OK},
			{Point: "ftp", File: "a.crl", Newest: 7, Number: 5, NextUpdate: at(-time.Hour), FailedAt: at(-9 * time.Hour), State: crl.RunOut, Urgent: true, Failure: "away"},
			{Point: "ftp", File: "a.cer", FailedAt: at(-9 * time.Hour), State: crl.Unknown, Urgent: true, Failure: "away"},
			{Point: "s3", File: "b.crl", Newest: 3, Number: 3, NextUpdate: at(99 * time.Hour), State: crl.Unknown, Urgent: true, Failure: "Nobody has looked."},
			{Point: "ldap-b", File: "b.crl", Newest: 3, Number: 2, FailedAt: at(-time.Minute), State: crl.Late}}}
	var got []string
	for _, m := range matters(status) {
		f := m.About.(*notice.Files)
		var files []string
		for _, one := range f.Files {
			files = append(files, one.File)
		}
		got = append(got, fmt.Sprintf("%s: %s, %d, %t %t, %s", m.Key, f.Worst, m.Grade, f.Point, f.Others, strings.Join(files, " ")))
	}
	slices.Sort(got)
	want := []string{
		"the distribution point ftp: run-out, 3, true false, a.crl a.cer",
		"the distribution point s3: unknown, 0, true false, b.crl",
		"the revocation list root.crl: unknown, 0, false true, root.crl",
		"the revocation lists of a: run-out, 3, false false, a.crl a.delta.crl",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
