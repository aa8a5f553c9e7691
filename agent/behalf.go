package agent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/client"
	"github.com/sealpost/sealpost/internal/fault"
)

// Faults of enrolling on somebody's behalf.
var (
	ErrBehalfFolder = fault.New(fault.Conflict, "behalf-folder", "Certificates for somebody else need a folder of their own, which is removed when they are handed over. Name a new one with --out.")
	ErrBehalfOther  = fault.New(fault.Conflict, "behalf-other", "In this folder an enrolment for somebody else was begun. Name another with --out.")
	ErrBehalfStores = fault.New(fault.Malformed, "behalf-options", "Somebody else's keys go into files to hand over: not into your key stores, your token or your TPM.")
)

const (
	behalfFile  = "behalf.json"
	behalfState = "state" // below the folder to hand over from
	behalfUse   = "behalf"
	behalfHours = 72
)

// behalf is what an officer began for somebody: which token the enrolment is made with. Name is there before the server is asked for it.
type behalf struct {
	Version int       `json:"version"`
	Mailbox string    `json:"mailbox"`
	Name    string    `json:"name"`            // of the wish for the token: the server makes no second one for it
	Token   string    `json:"token,omitempty"` // of no use once the certificates are here
	Number  int64     `json:"number,omitempty"`
	Ends    time.Time `json:"ends,omitzero"`
}

func decodeBehalf(data []byte) (*behalf, error) {
	b := &behalf{}
	if err := decodeState(data, b); err != nil {
		return nil, err
	}
	switch {
	case b.Version != stateVersion:
		return nil, versionFault(b.Version)
	case b.Mailbox == "" || b.Name == "" || b.Token != "" && b.Number <= 0:
		return nil, ErrState.Withf("What was begun for somebody else cannot be read.")
	}
	return b, nil
}

// Behalf is a person's enrolment by somebody else, an officer.
type Behalf struct {
	Identity *Identity
	Token    int64  // number of the token that the officer had made for it
	Folder   string // with everything of the person's on this machine: to be removed after the handing over
}

// EnrolFor gets certificates for the person with a mail address, asked for by whom the agent's credentials or the signing certificate
// with own among its addresses show. Keys and files are in opt.Folder and nowhere else, which is neither the agent's own folder nor one
// that holds anything else. What was begun in it is gone on with; beside ErrEnrolled it returns what is there.
func (a *Agent) EnrolFor(ctx context.Context, own, mailbox string, opt EnrolOptions) (*Behalf, error) {
	if !opt.Stores.None() || opt.Prefer.Place != "" && opt.Prefer.Place != PlaceSoftware || opt.Again {
		return nil, ErrBehalfStores
	}
	opt.Prefer.Place = PlaceSoftware // what is elsewhere cannot be handed over
	folder, err := a.behalfFolder(opt.Folder)
	if err != nil {
		return nil, err
	}
	opt.Folder = folder
	other := a.forAnother(filepath.Join(folder, behalfState), opt.Password)
	b, err := a.behalfToken(ctx, other, own, mailbox, opt.Anew)
	if err != nil {
		return nil, err
	}
	out := &Behalf{Token: b.Number, Folder: folder}
	other.cfg.Server.Token = b.Token
	if out.Identity, err = other.begun(); err != nil || out.Identity != nil {
		return out, err
	}
	out.Identity, err = other.Enrol(ctx, opt)
	return out, err
}

// forAnother is this agent in another folder, without anything of its owner's.
func (a *Agent) forAnother(dir, password string) *Agent {
	other := *a
	other.handover = true
	other.cfg.Dir, other.cfg.Unattended, other.cfg.Places, other.memory = dir, false, nil, &memory{}
	other.clock = &serverClock{now: a.cfg.Now}
	s := &other.cfg.Server
	s.Login, s.Password, s.IDToken, s.Kerberos, s.ClientCertificate, s.Machine = "", "", "", nil, nil, uuid.Nil
	other.ring = &keyring{}
	other.ring.pass.know(password)
	return &other
}

// behalfFolder returns the folder's whole name. It is new, empty, or one in which an enrolment for somebody was begun.
func (a *Agent) behalfFolder(folder string) (string, error) {
	if folder == "" {
		return "", ErrBehalfFolder
	}
	folder, err := filepath.Abs(folder)
	if err != nil {
		return "", ErrBehalfFolder.Because(err)
	}
	ownDir, err := filepath.Abs(a.cfg.Dir)
	if err != nil {
		return "", ErrBehalfFolder.Because(err)
	}
	if inside, err := filepath.Rel(ownDir, folder); err == nil && inside != ".." && !strings.HasPrefix(inside, ".."+string(filepath.Separator)) {
		return "", ErrBehalfFolder.Withf("%s is in your own agent's folder. Name a new folder with --out.", folder)
	}
	if err := makePrivateDir(folder); err != nil {
		return "", err
	}
	files, err := os.ReadDir(folder)
	if err != nil {
		return "", ErrDisk.Withf("The folder %s cannot be read.", folder).Because(err)
	}
	if _, err := os.Stat(filepath.Join(folder, behalfState)); len(files) > 0 && err != nil {
		return "", ErrBehalfFolder.Withf("In %s there is something else, and it is to be removed as a whole later. Name a new folder with --out.", folder)
	}
	return folder, nil
}

// begun returns the identity that is whole here, nil if there is still something to do.
func (a *Agent) begun() (*Identity, error) {
	ids, err := a.Identities()
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	p, err := a.loadPending(a.folder(ids[0].Person.ID))
	if err != nil || p != nil {
		return nil, err
	}
	return ids[0], ErrEnrolled.Withf("The certificates are there already, in %s.", ids[0].Folder)
}

// behalfToken returns the token of what was begun in the other's folder, or has one made.
func (a *Agent) behalfToken(ctx context.Context, other *Agent, own, mailbox string, anew bool) (*behalf, error) {
	unlock, err := other.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	dir := other.cfg.Dir
	b, err := load(dir, behalfFile, decodeBehalf)
	if err != nil {
		return nil, err
	}
	if b != nil && !strings.EqualFold(b.Mailbox, mailbox) {
		return nil, ErrBehalfOther.Withf("In this folder an enrolment for %s was begun. Name another with --out.", b.Mailbox)
	}
	if b != nil && b.Token != "" && !anew && a.cfg.Now().Before(b.Ends) {
		return b, nil
	}
	whole, err := other.begun()
	switch {
	case whole != nil && b == nil:
		return nil, ErrBehalfFolder.Withf("In %s there are certificates already. Name a new folder with --out.", filepath.Dir(dir))
	case whole != nil: // its token may have ended
		return b, nil
	case err != nil:
		return nil, err
	}
	old := int64(0)
	if b == nil || b.Token != "" {
		if b != nil {
			old = b.Number
		}
		b = &behalf{Version: stateVersion, Mailbox: mailbox, Name: uuid.NewString()}
		if err := save(dir, behalfFile, b); err != nil {
			return nil, err
		}
	}
	return b, a.makeBehalf(ctx, own, dir, b, old)
}

// makeBehalf has the server make the token. The old one, if it has a number, is withdrawn, and so is one whose secret was lost with an answer.
func (a *Agent) makeBehalf(ctx context.Context, own, dir string, b *behalf, old int64) error {
	c, err := a.officer(own)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := withdraw(ctx, c, old); err != nil {
		return err
	}
	a.cfg.Progress("token", "asking for a token to enrol for "+b.Mailbox)
	for range 2 {
		made, err := c.MakeTokens(ctx, b.Name, api.TokensRequest{Mailboxes: []string{b.Mailbox}, Hours: behalfHours, Use: behalfUse})
		if err != nil {
			return err
		}
		if len(made.Items) != 1 {
			return client.ErrAnswer
		}
		m := made.Items[0]
		if m.Token != "" && m.Number > 0 {
			b.Token, b.Number, b.Ends = m.Token, m.Number, made.Ends
			return save(dir, behalfFile, b)
		}
		if m.Number <= 0 { // for them there is none
			return &fault.Error{Kind: fault.Denied, Code: m.Code, Detail: m.Detail}
		}
		a.cfg.Progress("token", "an answer was lost: the token that came with it is withdrawn, and another one made")
		if err := withdraw(ctx, c, m.Number); err != nil {
			return err
		}
		b.Name = uuid.NewString()
		if err := save(dir, behalfFile, b); err != nil {
			return err
		}
	}
	return client.ErrAnswer
}

// withdraw makes a token of no use, if it is of any; 0 is none.
func withdraw(ctx context.Context, c *client.Client, number int64) error {
	if number == 0 {
		return nil
	}
	_, err := c.WithdrawToken(ctx, number)
	if errors.Is(err, fault.NotFound) { // used, ended or withdrawn
		return nil
	}
	return err
}

// officer connects as whom the credentials show, or the signing certificate with that address.
func (a *Agent) officer(own string) (*client.Client, error) {
	if a.hasCredentials() {
		return a.dial(nil)
	}
	id, err := a.forMailbox(own)
	if err != nil {
		return nil, err
	}
	return a.dial(id)
}
