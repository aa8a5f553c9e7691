package portal

import (
	"context"
	"crypto/x509"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/crl"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/jobs"
	"github.com/sealpost/sealpost/ocsp"
)

// Standing tells how those things stand of which only the program knows that put the rooms together. What is nil is not
// known, and pages say so.
type Standing struct {
	Health  func(context.Context) api.Health
	Queues  func(context.Context) ([]jobs.Backlog, error)
	Made    func(ctx context.Context, by audit.Actor, issuer string, limit int) ([]crl.Made, error) // revocation lists, the newest first
	OCSP    func() ocsp.Stats
	Serving func() (*x509.Certificate, error) // the certificate that browsers are shown
	Backup  func(context.Context) (Backup, error)

	// Mails reports whether people can be told by mail of what concerns them.
	Mails bool

	// Told returns when those whose keys cases ask for were told of it by mail.
	Told func(ctx context.Context, cases []uuid.UUID) (map[uuid.UUID]time.Time, error)
}

// Backup is how the database is kept elsewhere, as far as the database itself knows.
type Backup struct {
	Archived time.Time // when a piece of its log was last brought away (archive_command); zero: never
	Failed   time.Time // when that last failed; zero: never
}
