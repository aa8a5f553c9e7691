package demo

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/agent"
	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/kra"
)

// lost is what is known of the recovery while it lasts.
type lost struct {
	laptop *agent.Agent // alice's new one
	id     uuid.UUID    // of her case
	words  []string     // of the new laptop's key, as she reads them to the officers
}

// laptopLost keeps a mail that only alice's present key reads, and gives her a new laptop, on which nothing of the old
// one is.
func (d *Demo) laptopLost(ctx context.Context) (string, error) {
	if err := os.MkdirAll(d.path("recovered"), 0o755); err != nil {
		return "", err
	}
	_, err := d.program(ctx, "openssl", "cms", "-encrypt", "-in", "mail/message.txt", "-aes-256-cbc", "-from", "bob@example.test", "-to", "alice@example.test",
		"-subject", "Meeting", "-out", "recovered/old.eml", "people/alice/encryption.pem")
	if err != nil {
		return "", err
	}
	if d.lost.laptop, err = d.newLaptop("alice"); err != nil {
		return "", err
	}
	if _, err = d.lost.laptop.Enrol(ctx, agent.EnrolOptions{Folder: d.path("recovered", "laptop"), Patience: patience}); err != nil {
		return "", err
	}
	return "openssl cms: with the new laptop's key, the old mail recovered/old.eml cannot be read", d.unreadable(ctx)
}

// newLaptop is an agent that has nothing yet.
func (d *Demo) newLaptop(login string) (*agent.Agent, error) {
	c, anchors, err := d.clientConfig(login)
	if err != nil {
		return nil, err
	}
	return agent.New(agent.Config{Dir: d.sockets + "/agents/" + login + "-new-laptop", Server: c, Anchors: anchors})
}

// unreadable has openssl try what lies on the new laptop.
func (d *Demo) unreadable(ctx context.Context) error {
	keys, err := d.keysIn(ctx, "recovered/laptop/identity.p12", "recovered/laptop/identity.password")
	if err != nil {
		return err
	}
	if _, err := d.readOld(ctx, keys); err == nil {
		return errors.New("the old mail can be read without the old key")
	}
	return nil
}

// oneOfficerRefused opens alice's case. One officer approves, and that opens nothing.
func (d *Demo) oneOfficerRefused(ctx context.Context) (string, error) {
	_, err := d.lost.laptop.Restore(ctx, agent.RestoreOptions{Reason: "My laptop was left in a train.", Reference: "HELP-4711"})
	if !errors.Is(err, agent.ErrCaseWaiting) {
		return "", fmt.Errorf("the restore should wait for officers: %w", err)
	}
	status, err := d.lost.laptop.RestoreStatus(ctx, "")
	if err != nil {
		return "", err
	}
	if len(status.Cases) != 1 {
		return "", fmt.Errorf("%d cases were opened", len(status.Cases))
	}
	d.lost.id, d.lost.words = status.Cases[0].ID, status.Words
	if err := d.approve(ctx, 0, d.lost.id, d.lost.words); err != nil {
		return "", err
	}
	c, err := d.client("alice")
	if err != nil {
		return "", err
	}
	defer c.Close()
	if _, err := c.CollectCase(ctx, d.lost.id, 0); !errors.Is(err, archive.ErrCaseState) {
		return "", fmt.Errorf("after one approval the server should refuse: %w", err)
	}
	n, err := d.psql(ctx, database, `select count(*) from archive.case_answer where case_id = '`+d.lost.id.String()+`' and decision = 'approve'`)
	if err != nil {
		return "", err
	}
	if n != "1" {
		return "", fmt.Errorf("psql finds %s approvals", n)
	}
	return "psql: olivia has approved, after alice read her " + strings.Join(d.lost.words[:2], " ") + " … on the telephone; the server gives nothing out: one more must", nil
}

// approve is an officer at their own machine, who was told the words on the telephone.
func (d *Demo) approve(ctx context.Context, officer int, id uuid.UUID, words []string) error {
	c, err := d.client(officers[officer])
	if err != nil {
		return err
	}
	defer c.Close()
	server := kra.Online{Client: c}
	folder := d.path("officers", officers[officer]+"-"+id.String())
	f, err := server.Fetch(ctx, id, folder, nil)
	if err != nil {
		return err
	}
	o := d.officers[officer]
	seen, err := o.Log()
	if err != nil {
		return err
	}
	if err := server.FetchLog(ctx, id, f, seen.Size); err != nil {
		return err
	}
	x, err := o.Examine(folder, nil)
	if err != nil {
		return err
	}
	if err := x.Refusal(); err != nil {
		return err
	}
	heard, err := kra.ParseHeard(strings.Join(words[:5], " "))
	if err != nil {
		return err
	}
	a, err := o.Approve(ctx, x, heard, "")
	if err != nil {
		return err
	}
	if err := server.SendCheckpoint(ctx, a.Checkpoint); err != nil {
		return err
	}
	_, err = server.Send(ctx, id, a.Answer)
	return err
}

// ownApprovalRefused has an officer ask for keys of his own, and approve that himself.
func (d *Demo) ownApprovalRefused(ctx context.Context) (string, error) {
	const officer = 1
	a, err := d.newLaptop(officers[officer])
	if err != nil {
		return "", err
	}
	if _, err := a.Enrol(ctx, agent.EnrolOptions{Folder: d.sockets + "/own", Patience: patience}); err != nil {
		return "", err
	}
	if _, err := a.Restore(ctx, agent.RestoreOptions{Reason: "I would like to see.", All: true}); !errors.Is(err, agent.ErrCaseWaiting) {
		return "", fmt.Errorf("the restore should wait for officers: %w", err)
	}
	status, err := a.RestoreStatus(ctx, "")
	if err != nil {
		return "", err
	}
	refusal := d.approve(ctx, officer, status.Cases[0].ID, status.Words)
	if !errors.Is(refusal, record.ErrCase) && !errors.Is(refusal, kra.ErrCaseRefused) {
		return "", fmt.Errorf("the officer's own approval should be refused: %w", refusal)
	}
	if err := a.CancelRestore(ctx, "", "Only to see."); err != nil {
		return "", err
	}
	n, err := d.psql(ctx, database, `select count(*) from archive.case_answer where case_id = '`+status.Cases[0].ID.String()+`'`)
	if err != nil {
		return "", err
	}
	if n != "0" {
		return "", fmt.Errorf("psql finds %s answers", n)
	}
	return "sealpost-kra refuses: " + detailOf(refusal) + " psql: no answer", nil
}

// detailOf returns what a fault says to people.
func detailOf(err error) string {
	if f := fault.Of(err); f != nil {
		return f.Detail
	}
	return ""
}

// keysRestored has the second officer approve, and alice's new laptop collect and open.
func (d *Demo) keysRestored(ctx context.Context) (string, error) {
	if err := d.approve(ctx, 2, d.lost.id, d.lost.words); err != nil {
		return "", err
	}
	got, err := d.lost.laptop.Restore(ctx, agent.RestoreOptions{Patience: patience})
	if err != nil {
		return "", err
	}
	if got.New != 1 || len(got.Faults)+len(got.Wrong) > 0 {
		return "", fmt.Errorf("%d old keys came, faults %v, wrong answers %v", got.New, got.Faults, got.Wrong)
	}
	for from, to := range map[string]string{"identity.p12": "alice.p12", "identity.password": "alice.password"} {
		b, err := os.ReadFile(d.path("recovered", "laptop", from))
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(d.path("recovered", to), b, 0o600); err != nil {
			return "", err
		}
	}
	keys, err := d.keysIn(ctx, "recovered/alice.p12", "recovered/alice.password")
	if err != nil {
		return "", err
	}
	which, err := d.readOld(ctx, keys)
	if err != nil {
		return "", err
	}
	c, err := d.client("alice")
	if err != nil {
		return "", err
	}
	defer c.Close()
	k, err := c.Case(ctx, d.lost.id)
	if err != nil {
		return "", err
	}
	if k.State != api.CaseClosed {
		return "", fmt.Errorf("the case is %s", k.State)
	}
	return fmt.Sprintf("openssl pkcs12: recovered/alice.p12 holds %d keys; openssl cms: key %d of them decrypts the old mail", len(keys), which), nil
}

// keysIn has openssl take the keys out of a PKCS #12 file. It returns the files, which go with the demo.
func (d *Demo) keysIn(ctx context.Context, p12, password string) ([]string, error) {
	out, err := d.program(ctx, "openssl", "pkcs12", "-in", p12, "-passin", "file:"+password, "-nodes", "-nocerts")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(d.sockets, "keys-")
	if err != nil {
		return nil, err
	}
	var files []string
	for rest := []byte(out); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return files, nil
		}
		file := filepath.Join(dir, fmt.Sprintf("%d.pem", len(files)+1))
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			return nil, err
		}
		files = append(files, file)
	}
}

// readOld has openssl read the old mail with each key in turn, and returns which one did, from 1.
func (d *Demo) readOld(ctx context.Context, keys []string) (int, error) {
	for i, key := range keys {
		out, err := d.program(ctx, "openssl", "cms", "-decrypt", "-in", "recovered/old.eml", "-recip", "people/alice/encryption.pem", "-inkey", key)
		if err == nil && strings.Contains(out, "At ten, in the small room.") {
			return i + 1, nil
		}
	}
	return 0, fmt.Errorf("none of %d keys decrypts recovered/old.eml", len(keys))
}
