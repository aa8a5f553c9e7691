package testmail

import (
	"context"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/internal/jobs"
)

// SendNow does the job of sending a test's mail.
func (d *Desk) SendNow(ctx context.Context, test uuid.UUID) error {
	return d.send(ctx, jobs.SendTestMail{Test: test})
}

// ReadAsJob does the job of looking into the mailbox.
func (d *Desk) ReadAsJob(ctx context.Context, soon bool) error {
	return d.read(ctx, jobs.ReadTestMail{Soon: soon})
}

// Walked takes a mail apart without any key, and says how far that went.
func Walked(raw []byte, code string) (signed, encrypted, broken, quoted bool, steps int) {
	var o opened
	o.walk(raw, code, nil, 0)
	return o.signature != nil, o.envelope != nil, o.broken, o.quoted, o.steps
}

// Head is what a header tells.
func Head(raw []byte) (tokens []string, automatic, from, program string) {
	h := readHead(raw)
	return h.tokens, h.automatic, h.from, h.program
}

// MaxSteps is how many entities of a mail are looked at.
const MaxSteps = maxSteps
