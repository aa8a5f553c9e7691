package api

import (
	"time"

	"github.com/google/uuid"
)

// Limits of what a machine says of itself.
const (
	MaxMachineReport = 16 << 10 // bytes, as JSON
	MaxMachineText   = 128      // characters of one text; what is longer is cut
)

// MachineReport is what a person's program says of the machine that it is on. All of it is that program's word, and nothing rests
// on it.
type MachineReport struct {
	At           time.Time            `json:"at" doc:"When it was made, by the machine's clock."`
	Name         string               `json:"name,omitempty" doc:"The machine's own." example:"laptop-7"`
	System       string               `json:"system,omitempty" doc:"At most 32 lower-case letters, digits and hyphens." example:"linux"`
	Architecture string               `json:"architecture,omitempty" doc:"The same." example:"amd64"`
	Version      string               `json:"version,omitempty" doc:"Of the program." example:"sealpost-agent/1.2.0"`
	Schedule     string               `json:"schedule,omitempty" doc:"What starts the program by itself: timer, daemon or none; empty if it cannot tell."`
	RenewAt      *time.Time           `json:"renew_at,omitempty" doc:"When it will ask for the next certificates."`
	Places       []MachinePlace       `json:"places,omitempty" doc:"Where private keys can be kept, 16 at most."`
	Stores       []MachineStore       `json:"stores,omitempty" doc:"Key stores of mail programs that it fills, 16 at most."`
	Certificates []MachineCertificate `json:"certificates,omitempty" doc:"What it has, the newest first, 32 at most."`
	OldKeys      MachineOldKeys       `json:"old_keys" doc:"Of keys for old mail."`
	SucceededAt  *time.Time           `json:"succeeded_at,omitempty" doc:"When something that was to be done was last done."`
	Succeeded    string               `json:"succeeded,omitempty" doc:"What that was." example:"renew"`
	Failures     []MachineFailure     `json:"failures,omitempty" doc:"What went wrong lately, the newest first, 16 at most."`
}

// MachinePlace is where private keys can be kept, or are.
type MachinePlace struct {
	Place string `json:"place" doc:"software, token, tpm or system."`
	Code  string `json:"code,omitempty" doc:"Why it cannot be used; empty: it can."`
}

// MachineStore is a key store, and what became of filling it.
type MachineStore struct {
	Kind string     `json:"kind" example:"nss"`
	Name string     `json:"name,omitempty" doc:"Which, where there are several. No path."`
	Code string     `json:"code,omitempty" doc:"What went wrong when it was filled last; empty: nothing."`
	// Again is absent from agents that do not know it.
	Again bool       `json:"again,omitempty" doc:"The keys are in, and something is left to do: its program is to be restarted first."`
	At    *time.Time `json:"at,omitempty" doc:"When that was."`
}

// MachineCertificate is a certificate that the machine has.
type MachineCertificate struct {
	Issuer   string    `json:"issuer" doc:"Name of the issuer in this installation."`
	Serial   string    `json:"serial" doc:"Lower-case hexadecimal."`
	Use      string    `json:"use,omitempty" doc:"signing or encryption."`
	Place    string    `json:"place,omitempty" doc:"Where the key is; see places."`
	NotAfter time.Time `json:"not_after"`
	Current  bool      `json:"current" doc:"It is one of those in use, not one for old mail."`
}

// MachineOldKeys says whether old mail can be read on the machine.
type MachineOldKeys struct {
	Here   int    `json:"here" doc:"Keys that the machine has beside the current one."`
	Wanted bool   `json:"wanted,omitempty" doc:"It has asked for others, and they are not here yet."`
	Code   string `json:"code,omitempty" doc:"How that stands."`
}

// MachineFailure is something that went wrong, as often as it did so in a row.
type MachineFailure struct {
	Code    string     `json:"code" doc:"Of the problem, the server's or the program's own: lower-case letters, digits and hyphens, 64 at most." example:"server-unreachable"`
	Step    string     `json:"step,omitempty" doc:"What was being done." example:"renew"`
	Detail  string     `json:"detail,omitempty" doc:"For people. Neither paths nor secrets."`
	Since   time.Time  `json:"since" doc:"When it was first so."`
	At      time.Time  `json:"at" doc:"When it was last so."`
	Count   int        `json:"count" doc:"How often in a row."`
	EndedAt *time.Time `json:"ended_at,omitempty" doc:"When it went well again; absent: it has not."`
}

// MachineStanding says in a word how a machine stands.
type MachineStanding string

// The standings, the worst first.
const (
	MachineEnded   MachineStanding = "ended"   // its certificates have ended
	MachineEnding  MachineStanding = "ending"  // they end soon, and it has not been heard of
	MachineFailing MachineStanding = "failing" // what it does goes wrong
	MachineSilent  MachineStanding = "silent"  // it has not been heard of for long
	MachineHeard   MachineStanding = "heard"   // it has been heard of, and said nothing of itself
	MachineWell    MachineStanding = "well"
)

// Machine is one of a person's machines, as far as it has been heard of.
type Machine struct {
	ID         uuid.UUID       `json:"id" doc:"Made by the program on the machine; it proves nothing."`
	Person     uuid.UUID       `json:"person"`
	PersonName string          `json:"person_name" doc:"At the last contact."`
	Standing   MachineStanding `json:"standing" enum:"ended,ending,failing,silent,heard,well"`
	FirstAt    time.Time       `json:"first_at" doc:"When it was first heard of."`
	LastAt     time.Time       `json:"last_at" doc:"When it was last heard of; a request in between may be left out."`
	ReportedAt *time.Time      `json:"reported_at,omitempty" doc:"When the report came; absent: none has."`
	Failure    string          `json:"failure,omitempty" doc:"The code of what goes wrong now."`
	EndsAt     *time.Time      `json:"ends_at,omitempty" doc:"When the first of its current certificates ends."`
	Report     *MachineReport  `json:"report,omitempty" doc:"What the machine says of itself. None of it was checked."`
}

// MachineCount is how many machines have something in common.
type MachineCount struct {
	Value    string `json:"value"`
	Machines int64  `json:"machines"`
}

// MachineSummary counts machines.
type MachineSummary struct {
	At         time.Time      `json:"at"`
	Machines   int64          `json:"machines"`
	Unreported int64          `json:"unreported" doc:"Heard of, without a report."`
	Silent     int64          `json:"silent" doc:"Not heard of for long."`
	SilentDays int            `json:"silent_days" doc:"How long that is."`
	Failing    int64          `json:"failing" doc:"What they do goes wrong."`
	Ending     int64          `json:"ending" doc:"Their certificates end soon, and they have not been heard of for days."`
	Ended      int64          `json:"ended" doc:"They are heard of, and their certificates have ended."`
	Failures   []MachineCount `json:"failures" doc:"By code, the most frequent first, 50 at most; the rest is under the empty value."`
	Versions   []MachineCount `json:"versions" doc:"By version of the program, likewise, 20 at most."`
	Systems    []MachineCount `json:"systems" doc:"By system, likewise, 20 at most."`
}
