package api

import "time"

// CeremonyPlan begins a ceremony by way of the server.
type CeremonyPlan struct {
	Plan          []byte   `json:"plan" doc:"In the archive's own encoding (docs/archive-format.md)."`
	Intermediates [][]byte `json:"intermediates,omitempty" maxItems:"20" doc:"Issuing certificates that lead from the plan's certificates to their root."`
}

// CeremonyMessage is what one officer says to all.
type CeremonyMessage struct {
	Message []byte `json:"message" doc:"Signed by the officer, in the archive's own encoding."`
}

// Ceremony is a ceremony as the server shows it to everybody. Nothing of it is to be believed: the officers compare the
// plan by voice, and their programs check every message.
type Ceremony struct {
	Hash          string    `json:"hash" doc:"Names the plan: lower-case hexadecimal SHA-256."`
	Archive       string    `json:"archive"`
	Epoch         int       `json:"epoch"`
	Round         string    `json:"round" enum:"commit,reveal,acknowledge,done" doc:"What it waits for."`
	Missing       []int     `json:"missing" doc:"The numbers of those whose messages are missing; 0 is the dealing machine."`
	Opened        time.Time `json:"opened"`
	Changed       time.Time `json:"changed"`
	Plan          []byte    `json:"plan,omitempty" doc:"Left out in lists, as are the following."`
	Previous      []byte    `json:"previous,omitempty" doc:"In a reshare, the roster that is passed on."`
	Intermediates [][]byte  `json:"intermediates,omitempty"`
	Messages      [][]byte  `json:"messages,omitempty"`
}
