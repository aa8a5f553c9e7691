package notice

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/jobs"
	"github.com/sealpost/sealpost/internal/mail"
)

// What messages about enrolment tokens are about.
const (
	tokenMade = "made"
	tokenUsed = "used"
)

// slip is what a message about a token may say. It holds no token, so that none can.
type slip struct {
	Name, Maker, Organisation, Contact string
	Number                             int64
	Made, Ends, Used                   string
	Behalf                             bool
	Body                               string
}

func (s *slip) put(body string) { s.Body = body }

// TellToken tells somebody that an enrolment token was made for them, or used. It is repeated until the message is out, or five days have passed; when
// the process dies in between, or the mail server does not say whether it took the message, it is sent once more with the same Message-ID.
func (t *Teller) TellToken(ctx context.Context, j jobs.TellToken) error {
	err := t.tellToken(ctx, j)
	if err != nil && (errors.Is(err, errUntold) || t.Now().Sub(j.At) > patience) {
		t.Log.Error("somebody is not told of an enrolment token by mail", "token", j.Token, "about", j.About, "person", j.Person, "error", err)
		return jobs.Cancel(err)
	}
	return err
}

// errUntold says that there is nobody to tell.
var errUntold = errors.New("there is no mail server, or the person has no address")

func (t *Teller) tellToken(ctx context.Context, j jobs.TellToken) error {
	if t.Mail == nil {
		return errUntold
	}
	to, err := t.Directory.Person(ctx, j.Person)
	switch {
	case errors.Is(err, directory.ErrUnknownPerson), err == nil && len(to.Mailboxes) == 0:
		return errUntold
	case err != nil:
		return err
	}
	maker, err := t.Directory.Person(ctx, j.MadeBy)
	if err != nil && !errors.Is(err, directory.ErrUnknownPerson) {
		return err
	}
	s := &slip{Name: short(to.Name), Maker: short(maker.Name), Organisation: short(t.Organisation), Contact: t.Contact, Number: j.Token,
		Made: moment(j.MadeAt), Ends: moment(j.Ends), Used: moment(j.At), Behalf: j.Behalf}
	if s.Maker == "" {
		s.Maker = nobody
	}
	subject, text, err := t.slips.write(j.About, s)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s %s", j.Token, j.About, j.Person))
	return t.Mail.Send(ctx, mail.Message{ID: hex.EncodeToString(sum[:16]) + ".token", Name: to.Name, Address: to.Mailboxes[0], Subject: subject, Text: text})
}
