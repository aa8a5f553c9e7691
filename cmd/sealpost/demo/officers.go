package demo

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/cmd/sealpost/config"
	"github.com/sealpost/sealpost/cmd/sealpost/server"
	"github.com/sealpost/sealpost/cmd/sealpost/setup"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/kra"
)

// officers are the recovery officers of the sample company. Two of them open together.
var officers = []string{"olivia", "oscar", "otto"}

const threshold = 2

// operator is who is at the server's command line.
func operator() audit.Actor {
	return audit.Actor{Name: "demo", Roles: []audit.Role{audit.Operator}, Method: audit.MethodLocal}
}

// withBase opens the installation as `sealpost roster` does.
func (d *Demo) withBase(ctx context.Context, fn func(*server.Base) error) error {
	c, err := config.Load(d.path("server.yaml"))
	if err != nil {
		return err
	}
	if err := c.Validate(); err != nil {
		return err
	}
	b, err := server.OpenBase(ctx, c, slog.New(slog.DiscardHandler), server.Hooks{})
	if err != nil {
		return err
	}
	defer b.Close()
	return fn(b)
}

// certifyOfficers lets each officer make their keys in a home of their own, and certifies them.
func (d *Demo) certifyOfficers(ctx context.Context) (string, error) {
	anchors, _, err := d.roots()
	if err != nil {
		return "", err
	}
	err = d.withBase(ctx, func(b *server.Base) error {
		for _, login := range officers {
			o, err := d.officer(login)
			if err != nil {
				return err
			}
			passphrase := setup.NewPassphrase()
			requests, err := o.KeyGen(ctx, login, passphrase)
			kept := os.WriteFile(d.path("officers", login+".passphrase"), append(passphrase, '\n'), 0o600)
			if err := errors.Join(err, kept); err != nil {
				return err
			}
			signing, _ := pem.Decode(requests.Signing)
			decryption, _ := pem.Decode(requests.Decryption)
			if signing == nil || decryption == nil {
				return errors.New("the requests are not PEM")
			}
			card, err := b.CertifyAgent(ctx, operator(), login, signing.Bytes, decryption.Bytes)
			if err != nil {
				return err
			}
			if err := o.Import(card, anchors); err != nil {
				return err
			}
			if err := o.TrustLog(b.Audit.VerifierKey()); err != nil {
				return err
			}
			d.officers = append(d.officers, o)
			d.cards = append(d.cards, card)
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	return d.checkOfficers(ctx)
}

func (d *Demo) officer(login string) (*kra.Officer, error) {
	return kra.Open(kra.Config{Home: d.path("officers", login)})
}

// checkOfficers lets openssl verify the cards' certificates.
func (d *Demo) checkOfficers(ctx context.Context) (string, error) {
	for i, c := range d.cards {
		for kind, cert := range map[string][]byte{"signing": c.Signing.Raw, "decryption": c.Decryption.Raw} {
			name := fmt.Sprintf("officers/%s-%s.pem", officers[i], kind)
			if err := d.write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), name); err != nil {
				return "", err
			}
			if _, err := d.program(ctx, "openssl", "verify", "-x509_strict", "-CAfile", setup.RootCertificate, "-untrusted", setup.IssuingCertificate, name); err != nil {
				return "", err
			}
		}
	}
	return fmt.Sprintf("openssl verify: %d officers, a signature and a decryption certificate each", len(d.cards)), nil
}

// holdCeremony lets the officers make the archive's key together, pins the roster in server.yaml, and brings it in.
func (d *Demo) holdCeremony(ctx context.Context) (string, error) {
	anchors, _, err := d.roots()
	if err != nil {
		return "", err
	}
	folder := d.path("ceremony")
	plan, err := kra.WritePlan(folder, kra.PlanConfig{Archive: "Example archive", Threshold: threshold, Agents: d.cards, Roots: anchors})
	if err != nil {
		return "", err
	}
	roster, err := kra.Perform(ctx, folder, kra.Agreement{Hash: plan.Hash()}, d.officers...)
	if err != nil {
		return "", err
	}
	if err := d.pin(roster); err != nil {
		return "", err
	}
	err = d.withBase(ctx, func(b *server.Base) error {
		a, err := b.OpenArchive(ctx)
		if err != nil {
			return err
		}
		_, err = a.AddRoster(ctx, operator(), roster.Bytes())
		return err
	})
	if err != nil {
		return "", err
	}
	sum, err := d.programWith(ctx, nil, roster.Bytes(), "openssl", "dgst", "-sha256", "-r")
	if err != nil {
		return "", err
	}
	if len(sum) < 64 || sum[:64] != roster.Hash().String() {
		return "", fmt.Errorf("openssl dgst says %s, the pin is %s", clip(sum), roster.Hash())
	}
	return fmt.Sprintf("%d officers signed one roster, each after checking their own share; openssl dgst: its hash is the pin %s…", len(d.officers), sum[:16]), nil
}

// pin writes the roster's hash into the configuration.
func (d *Demo) pin(r *record.Roster) error {
	d.template.RosterPin = r.Hash().String()
	b, err := d.template.Render()
	if err != nil {
		return err
	}
	return os.WriteFile(d.path("server.yaml"), b, 0o600)
}
