package agent_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"math/big"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/agent"
	"github.com/sealpost/sealpost/api"
)

// handedOver runs both sides of a transfer. The person types what type makes of the words that the new device shows.
func handedOver(t *testing.T, from, to *agent.Agent, patience time.Duration, typed func(words string) string) (*agent.Received, *agent.Sent, error, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	shown := make(chan string, 1)
	type ended struct {
		received *agent.Received
		err      error
	}
	end := make(chan ended, 1)
	go func() {
		r, err := to.ReceiveHistory(ctx, agent.ReceiveOptions{Device: "new laptop", Patience: patience,
			Show: func(words []string) { shown <- strings.Join(words, " ") }})
		end <- ended{r, err}
	}()
	sent, sendErr := from.SendHistory(ctx, agent.SendOptions{Patience: patience, Ask: func(device string, try int) (string, error) {
		if device != "new laptop" || try < 1 || try > 3 {
			t.Errorf("asked about %q for the %d. time", device, try)
		}
		select {
		case w := <-shown:
			shown <- w
			return typed(w), nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}})
	if sendErr != nil {
		time.AfterFunc(2*time.Second, cancel)
	}
	e := <-end
	return e.received, sent, e.err, sendErr
}

const patient = 25 * time.Second

func asShown(words string) string { return words }

// A second device gets every key from the first, and openssl reads old mail with them. No officer is asked.
func TestTransfer(t *testing.T) {
	o := newOffice(t)
	first, second := o.machine("alice"), o.machine("alice")
	old := first.enrolled(3, "P-256")
	var mails []string
	for i := range old.Pairs {
		mails = append(mails, encryptedTo(t, old.Pairs[i].Encryption.Certificate, "mail "+string(rune('0'+i))))
	}
	id := second.enrolled(1, "P-256")
	received, sent, err, sendErr := handedOver(t, first.agent(false), second.agent(false), patient, asShown)
	must(t, errors.Join(err, sendErr))
	if sent.Keys != 3 || sent.Device != "new laptop" || received.Keys != 3 || received.New != 3 {
		t.Errorf("sent %+v, received %d, %d new", sent, received.Keys, received.New)
	}
	checkRestored(t, received.Identity, id, mails)
	if n := o.Database.Count(t, `select count(*) from archive.parcel where name like 'transfer-%'`); n != 0 {
		t.Errorf("%d messages are left at the server", n)
	}
	if n := o.Database.Count(t, `select count(*) from archive.recovery_case`); n != 0 {
		t.Errorf("%d cases were opened", n)
	}
	// Back, the first gets the one that it lacks; once more changes nothing.
	for _, want := range []int{1, 0} {
		received, _, err, sendErr := handedOver(t, second.agent(false), first.agent(false), patient, func(w string) string { return " " + strings.ToUpper(w) + " " })
		must(t, errors.Join(err, sendErr))
		if received.Keys != 4 || received.New != want {
			t.Errorf("back: %d keys, %d new, want %d", received.Keys, received.New, want)
		}
	}
	checkModes(t, second.dir)
}

// Words that differ three times end it, on both sides; a slip of the finger does not.
func TestTransferNeedsTheWords(t *testing.T) {
	o := newOffice(t)
	first, second := o.machine("alice"), o.machine("alice")
	first.enrolled(2, "P-256")
	second.enrolled(1, "P-256")
	received, _, err, sendErr := handedOver(t, first.agent(false), second.agent(false), patient, func(w string) string { return strings.Repeat("babab ", 4) })
	if !errors.Is(sendErr, agent.ErrWords) || !errors.Is(err, agent.ErrTransferRefused) || received != nil {
		t.Errorf("wrong words: sent %v, received %v", sendErr, err)
	}
	tries := 0
	_, _, err, sendErr = handedOver(t, first.agent(false), second.agent(false), patient, func(w string) string {
		if tries++; tries < 3 {
			return w[:len(w)-1]
		}
		return w
	})
	if err != nil || sendErr != nil || tries != 3 {
		t.Errorf("after %d tries: %v, %v", tries, err, sendErr)
	}
}

// device is a certificate that somebody in between would rather have the keys sealed to.
func deviceOf(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "New device"}, KeyUsage: x509.KeyUsageKeyAgreement,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	return der
}

// A server that puts another certificate, nonce or device in between is found out: at once where the new device was bound
// to something else, and by the words where it had not to be.
func TestTransferThroughALyingServer(t *testing.T) {
	o := newOffice(t)
	first, second := o.machine("alice"), o.machine("alice")
	first.enrolled(1, "P-256")
	second.enrolled(1, "P-256")
	other := deviceOf(t)
	message := func(change func(map[string]any)) func([]byte) []byte {
		return changed(t, func(p *api.Parcel) {
			var v map[string]any
			if err := json.Unmarshal(p.Content, &v); err != nil {
				t.Error(err)
			}
			change(v)
			p.Content, _ = json.Marshal(v)
		})
	}
	for name, tt := range map[string]struct {
		suffix   string
		change   func(map[string]any)
		old      bool // the change is in what the old device sees
		sends    error
		receives error
	}{
		"another certificate":          {"-3", func(v map[string]any) { v["certificate"] = other }, true, agent.ErrTransfer, agent.ErrTransferRefused},
		"another nonce of the new one": {"-3", func(v map[string]any) { v["nonce"] = make([]byte, 32) }, true, agent.ErrTransfer, agent.ErrTransferRefused},
		"a short nonce":                {"-3", func(v map[string]any) { v["nonce"] = make([]byte, 31) }, true, agent.ErrTransfer, agent.ErrTransferRefused},
		"another commitment":           {"-1", func(v map[string]any) { v["commitment"] = make([]byte, 32) }, true, agent.ErrTransfer, agent.ErrTransferRefused},
		"another device's name":        {"-1", func(v map[string]any) { v["device"] = "new phone" }, true, agent.ErrTransfer, agent.ErrTransferRefused},
		"something more":               {"-3", func(v map[string]any) { v["more"] = 1 }, true, agent.ErrTransfer, agent.ErrTransferRefused},
		"another version":              {"-3", func(v map[string]any) { v["version"] = 2 }, true, agent.ErrTransfer, agent.ErrTransferRefused},
		"another nonce of the old one": {"-2", func(v map[string]any) { v["nonce"] = make([]byte, 32) }, false, agent.ErrWords, agent.ErrTransferRefused},
		"no nonce of the old one":      {"-2", func(v map[string]any) { v["nonce"] = []byte{} }, false, nil, agent.ErrTransfer},
		"other keys":                   {"-4", func(v map[string]any) { v["sealed"] = []byte("x") }, false, nil, nil},
	} {
		from, to := first.agent(false), second.agent(false)
		if tt.old {
			from = first.between(tt.suffix, message(tt.change))
		} else {
			to = second.between(tt.suffix, message(tt.change))
		}
		received, _, err, sendErr := handedOver(t, from, to, 4*time.Second, asShown)
		if received != nil || err == nil || tt.sends != nil && !errors.Is(sendErr, tt.sends) || tt.receives != nil && !errors.Is(err, tt.receives) {
			t.Errorf("%s: sent %v, received %v", name, sendErr, err)
		}
		o.Database.Exec(t, `delete from archive.parcel where name like 'transfer-%'`)
	}
	if id, err := second.agent(false).Identities(); err != nil || len(id[0].History) != 0 {
		t.Errorf("something was taken: %v", err)
	}
}

// Somebody in between who is a device of their own to both sides gets words that differ.
func TestTransferWithSomebodyInTheMiddle(t *testing.T) {
	o := newOffice(t)
	first, second := o.machine("alice"), o.machine("alice")
	first.enrolled(2, "P-256")
	second.enrolled(1, "P-256")
	// The one in the middle has alice's password and runs a transfer of their own with each side.
	mallory := o.machine("alice")
	mallory.enrolled(1, "P-256")
	words := make(chan string, 2)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	receive := func(m *machine, device string) <-chan error {
		end := make(chan error, 1)
		go func() {
			_, err := m.agent(false).ReceiveHistory(ctx, agent.ReceiveOptions{Device: device, Patience: 20 * time.Second, Show: func(w []string) { words <- device + ":" + strings.Join(w, " ") }})
			end <- err
		}()
		return end
	}
	mine := receive(second, "new laptop")
	theirs := receive(mallory, "new laptop")
	for o.Database.Count(t, `select count(*) from archive.parcel`) < 2 {
		time.Sleep(10 * time.Millisecond)
	}
	_, err := first.agent(false).SendHistory(ctx, agent.SendOptions{Patience: time.Second})
	if !errors.Is(err, agent.ErrSessions) {
		t.Errorf("two devices ask: %v", err)
	}
	// The user's own device is hidden, and only the other one is offered: the words of that are not those on the user's screen.
	o.Database.Exec(t, `delete from archive.parcel where name not in (select min(name) from archive.parcel where name like '%-1')`)
	_, err = first.agent(false).SendHistory(ctx, agent.SendOptions{Patience: 10 * time.Second, Ask: func(string, int) (string, error) { return "babab babab babab babab", nil }})
	if !errors.Is(err, agent.ErrWords) {
		t.Errorf("in the middle: %v", err)
	}
	cancel()
	for _, end := range []<-chan error{mine, theirs} {
		if err := <-end; err == nil {
			t.Error("keys came")
		}
	}
}

func TestTransferRefuses(t *testing.T) {
	o := newOffice(t)
	m := o.machine("alice")
	ask := func(string, int) (string, error) { return "", errors.New("asked") }
	if _, err := m.agent(false).SendHistory(t.Context(), agent.SendOptions{Ask: ask}); !errors.Is(err, agent.ErrNoIdentity) {
		t.Errorf("nobody sends: %v", err)
	}
	m.enrolled(1, "P-256")
	if _, err := m.agent(false).SendHistory(t.Context(), agent.SendOptions{Ask: ask}); !errors.Is(err, agent.ErrTransferWaiting) {
		t.Errorf("nobody asks: %v", err)
	}
	if _, err := m.agent(false).ReceiveHistory(t.Context(), agent.ReceiveOptions{}); !errors.Is(err, agent.ErrTransferWaiting) {
		t.Errorf("nobody sends: %v", err)
	}
	if n := o.Database.Count(t, `select count(*) from archive.parcel`); n != 0 {
		t.Errorf("%d messages are left", n)
	}
}

// A renewal has the server keep the older keys, sealed to the newest; whoever has that key gets them, and nobody else.
func TestReseal(t *testing.T) {
	o := newOffice(t)
	m := o.machine("alice")
	m.enrolled(1, "RSA-3072")
	renew := func() *agent.Identity {
		r, err := m.agent(false).Renew(t.Context(), agent.RenewOptions{Force: true, Patience: time.Minute})
		must(t, err)
		return r.Identity
	}
	first := renew()
	if first.Resealed == nil || len(first.Pairs) != 2 {
		t.Fatalf("%+v", first.Resealed)
	}
	second := renew()
	if n := o.Database.Count(t, `select count(*) from archive.parcel where name = $1`, "history-"+second.Resealed.To); n != 1 || second.Resealed.To == first.Resealed.To {
		t.Errorf("%d parcels for the newest key", n)
	}
	if n := o.Database.Count(t, `select count(*) from archive.parcel`); n != 1 {
		t.Errorf("%d parcels", n)
	}
	// A run that is not due changes nothing there.
	_, err := m.agent(false).Renew(t.Context(), agent.RenewOptions{})
	must(t, err)
	if n := o.events("archive.parcel-kept"); n != 2 {
		t.Errorf("%d parcels were kept", n)
	}
	// Another device that has the newest key alone, as from a file, gets the rest.
	other := o.machine("alice")
	id := other.enrolled(1, "P-256")
	if _, err := other.agent(false).FetchHistory(t.Context(), agent.HistoryOptions{}); !errors.Is(err, agent.ErrNoHistory) {
		t.Errorf("without the key: %v", err)
	}
	path := filepath.Join(other.dir, id.Person.ID.String(), "identity.json")
	var v map[string]any
	must(t, json.Unmarshal([]byte(readFile(t, path)), &v))
	v["history"] = []*agent.Held{second.Encryption()}
	data, err := json.Marshal(v)
	must(t, err)
	write(t, path, data)
	got, err := other.agent(false).FetchHistory(t.Context(), agent.HistoryOptions{})
	must(t, err)
	if got.Keys != 2 || got.New != 2 || len(got.Identity.History) != 3 {
		t.Errorf("%d keys, %d new", got.Keys, got.New)
	}
	if again, err := other.agent(false).FetchHistory(t.Context(), agent.HistoryOptions{}); err != nil || again.New != 0 {
		t.Errorf("again: %+v, %v", again, err)
	}
	// Another person's parcel in its place is not taken.
	bob := o.machine("bob")
	bob.enrolled(1, "P-256")
	r, err := bob.agent(false).Renew(t.Context(), agent.RenewOptions{Force: true, Patience: time.Minute})
	must(t, err)
	o.Database.Exec(t, `update archive.parcel a set content = b.content from archive.parcel b where a.name = $1 and b.name = $2`,
		"history-"+second.Resealed.To, "history-"+r.Identity.Resealed.To)
	if _, err := other.agent(false).FetchHistory(t.Context(), agent.HistoryOptions{}); err == nil {
		t.Error("bob's keys were taken")
	}
}

// Killed while it reseals, or with a server that is away then, a renewal is done all the same, and the next run reseals.
func TestResealIsTriedAgain(t *testing.T) {
	o := newOffice(t)
	m := o.machine("alice")
	m.enrolled(1, "P-256")
	a := m.agent(false)
	a.SetAfter(func(step string) error {
		if step == "reseal" {
			return errors.New("killed")
		}
		return nil
	})
	r, err := a.Renew(t.Context(), agent.RenewOptions{Force: true, Patience: time.Minute})
	if err != nil || !r.Renewed || r.Identity.Resealed != nil {
		t.Fatalf("%+v, %v", r, err)
	}
	if r, err = m.agent(false).Renew(t.Context(), agent.RenewOptions{}); err != nil || r.Identity.Resealed == nil || r.Renewed {
		t.Errorf("the next run: %+v, %v", r, err)
	}
	if n := o.Database.Count(t, `select count(*) from archive.parcel`); n != 1 {
		t.Errorf("%d parcels", n)
	}
}
