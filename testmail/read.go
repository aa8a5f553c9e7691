package testmail

import (
	"context"
	"errors"

	"github.com/emersion/go-imap/v2"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/jobs"
)

// read looks into the mailbox if anybody waits for an answer. It is repeated every few seconds as long as somebody sits before
// the page.
func (d *Desk) read(ctx context.Context, j jobs.ReadTestMail) error {
	now := d.Now()
	var open, soon bool
	err := d.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		if !j.Soon {
			if err := deleteBefore(ctx, tx, now.Add(-keptFor)); err != nil {
				return err
			}
		}
		if open, soon, err = waiting(ctx, tx, now, now.Add(-soonLasts)); err != nil || j.Soon || !soon {
			return err
		}
		return d.Jobs.Insert(ctx, tx, jobs.ReadTestMail{Soon: true}) // should that have ended just when a test began
	})
	if err != nil || !open || j.Soon && !soon {
		return err
	}
	err = d.Read(ctx)
	failure := ""
	if err != nil {
		failure = ErrMailbox.Code
		if f := fault.Of(err); f != nil {
			failure = f.Code
		}
		d.Log.Warn("answers to test mails cannot be read", "error", err)
	}
	keep := d.DB.InTx(context.WithoutCancel(ctx), role, func(tx pgx.Tx) error { return updateLook(ctx, tx, d.Now(), failure) })
	if err := errors.Join(err, keep); err != nil || !j.Soon {
		return err
	}
	return jobs.Later(soonEvery)
}

// Read looks into the mailbox once, and judges the answers there.
func (d *Desk) Read(ctx context.Context) error {
	keys, err := d.identities(ctx)
	if err != nil {
		return err
	}
	err = d.Mailbox.visit(ctx, false, func(b *letterBox) error {
		list, err := b.unread()
		if err != nil {
			return err
		}
		var strange, done []imap.UID
		for _, e := range list {
			ours, err := d.take(ctx, b, e, keys)
			switch {
			case err != nil:
				return err
			case ours:
				done = append(done, e.uid)
			default:
				strange = append(strange, e.uid)
			}
		}
		if err := b.seen(strange...); err != nil {
			return err
		}
		return b.remove(done...)
	})
	if err != nil && fault.Of(err) == nil { // the connection broke, or the server said something odd
		return ErrMailbox.Because(err)
	}
	return err
}

// take reads a mail if it is an answer to a test, and reports whether it was.
func (d *Desk) take(ctx context.Context, b *letterBox, e envelope, keys []*identity) (ours bool, err error) {
	h := readHead(e.head)
	if len(h.tokens) == 0 {
		return false, nil
	}
	var tests map[string]awaited
	err = d.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		tests, err = selectAwaited(ctx, tx, h.tokens, d.Now())
		return err
	})
	if err != nil || len(tests) == 0 {
		return false, err
	}
	if len(tests) > 1 || !tests[firstOf(h.tokens, tests)].open { // of several, or of one that is over: nobody's answer any more
		return true, nil
	}
	t := tests[firstOf(h.tokens, tests)]
	if h.automatic != "" {
		return true, d.DB.InTx(ctx, role, func(tx pgx.Tx) error { return updateNotice(ctx, tx, t.id, h.automatic) })
	}
	v := &verdict{}
	if e.size > MaxAnswer {
		v.add("too-large", Bad, nil)
	} else {
		content, err := b.whole(e.uid)
		if err != nil {
			return false, err
		}
		if v, err = d.judge(ctx, content, t, keys); err != nil {
			return false, err
		}
	}
	return true, d.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		return updateAnswer(ctx, tx, t.id, d.Now(), v.theirs, v.findings)
	})
}

func firstOf(tokens []string, tests map[string]awaited) string {
	for _, t := range tokens {
		if _, ok := tests[t]; ok {
			return t
		}
	}
	return ""
}
