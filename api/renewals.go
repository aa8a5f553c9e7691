package api

import (
	"time"

	"github.com/google/uuid"
)

// RenewalRequest asks for certificates to be renewed before their time: those that meet every criterion that is given. At least one is.
type RenewalRequest struct {
	Reason       string     `json:"reason" maxLength:"500" doc:"People read it."`
	Algorithm    string     `json:"algorithm,omitempty" doc:"The kind of key of the certificates, such as RSA-3072. While the order is open, and has no issued_before, no new key of the kind is taken either."`
	SPKISHA256   string     `json:"spki_sha256,omitempty" pattern:"^[0-9a-f]{64}$" doc:"The very key, which is not taken again either. In hex."`
	Issuer       string     `json:"issuer,omitempty" doc:"The issuer's id."`
	Profile      string     `json:"profile,omitempty"`
	Person       *uuid.UUID `json:"person,omitempty" doc:"One person's. Not together with an algorithm; nor is a key."`
	IssuedBefore *time.Time `json:"issued_before,omitempty" doc:"Only those issued before; not in the future. Without it, those from before the order; of a key or an algorithm, all there are."`
	Hours        int        `json:"hours" minimum:"0" maximum:"2160" doc:"Machines are spread over so many hours; 0: all at once."`
}

// RenewalOrder is an order to renew certificates before their time.
type RenewalOrder struct {
	Number int64 `json:"number"`
	RenewalRequest
	MadeBy      string           `json:"made_by" doc:"Who, by name."`
	MadeAt      time.Time        `json:"made_at"`
	WithdrawnBy string           `json:"withdrawn_by,omitempty"`
	WithdrawnAt *time.Time       `json:"withdrawn_at,omitempty" doc:"Absent: the order is open."`
	Progress    *RenewalProgress `json:"progress,omitempty" doc:"Only of one order that was asked for."`
}

// RenewalProgress is how far an order has come, in certificates that are valid now.
type RenewalProgress struct {
	Waiting  int  `json:"waiting" doc:"Certificates that the order concerns, with no newer one of the same person and profile."`
	Replaced int  `json:"replaced" doc:"Certificates that the order concerns, with a newer one. Another machine of the person's may still use them."`
	Whole    bool `json:"whole" doc:"False: there are more certificates than the newest 20,000 that were looked at."`
}
