package web

import (
	"context"
	"net/http"
	"reflect"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/fleet"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/web/signin"
)

// ErrNoFleet says that this server knows nothing of machines.
var ErrNoFleet = fault.New(fault.NotFound, "no-fleet", "This server keeps nothing about machines.")

func (s *Server) machineOperations() {
	op := func(o operation, faults ...*fault.Error) operation {
		o.tag, o.who = tagMachines, known
		o.faults = append(faults, ErrNoFleet)
		return o
	}
	bare := exampleMachine
	bare.Report = nil
	register(s, op(operation{id: "listMachines", method: http.MethodGet, path: "/machines", summary: "Machines, in the order in which they were first heard of",
		about:  "Your own. Registrars, operators and auditors ask for somebody's, or for everybody's with `all`. What a machine says of itself was not checked.",
		answer: api.Page[api.Machine]{Items: []api.Machine{exampleMachine}}}, fleet.ErrNotAllowed), s.listMachines)
	register(s, op(operation{id: "countMachines", method: http.MethodGet, path: "/machines/summary", summary: "How many machines there are, by what they have in common",
		about: "For registrars, operators and auditors.", answer: exampleMachineSummary}, fleet.ErrNotAllowed), s.countMachines)
	register(s, op(operation{id: "getMachine", method: http.MethodGet, path: "/machines/{machine}", summary: "One machine",
		about: "Your own, or for registrars, operators and auditors that of the person named.", answer: exampleMachine}, fleet.ErrUnknown), s.getMachine)
	register(s, op(operation{id: "reportMachine", method: http.MethodPut, path: "/machines/{machine}", lenient: true, summary: "Say how things stand on a machine of yours",
		about: "It takes the place of what was said before, and of at most 16 KiB. Codes that nobody knows are kept, members that nobody knows are left out: a newer agent " +
			"says more. Texts are made printable and cut; words, codes and serial numbers that are none, and lists that are too long, are refused.",
		body: *exampleMachine.Report, answer: bare}, fleet.ErrReport, fleet.ErrID), s.reportMachine)
	schemas := s.api.OpenAPI().Components.Schemas
	for _, t := range []reflect.Type{reflect.TypeFor[api.MachineReport](), reflect.TypeFor[api.MachinePlace](), reflect.TypeFor[api.MachineStore](),
		reflect.TypeFor[api.MachineCertificate](), reflect.TypeFor[api.MachineOldKeys](), reflect.TypeFor[api.MachineFailure]()} {
		schemas.SchemaFromRef(schemas.Schema(t, true, "").Ref).AdditionalProperties = true
	}
	register(s, op(operation{id: "forgetMachine", method: http.MethodDelete, path: "/machines/{machine}", summary: "Forget a machine",
		about:  "Your own, or for registrars that of the person named. Nothing is revoked by this, and a machine that reports again is known again.",
		answer: exampleMachine}, fleet.ErrUnknown, fleet.ErrForget), s.forgetMachine)
}

// heard has the fleet know that a machine of the caller's was heard of.
func (s *Server) heard(r *http.Request, by signin.Caller) {
	if s.Fleet == nil {
		return
	}
	if id, err := uuid.Parse(r.Header.Get(api.MachineHeader)); err == nil { // what is no id is nobody's machine
		s.Fleet.Heard(by.Actor, id)
	}
}

type machinesInput struct {
	Person      uuid.UUID `query:"person" doc:"Whose; without it your own."`
	All         bool      `query:"all" doc:"Everybody's."`
	SilentSince time.Time `query:"silent_since" doc:"Not heard of since."`
	EndsBefore  time.Time `query:"ends_before" doc:"A certificate in use there ends before."`
	System      string    `query:"system" maxLength:"32" doc:"As the machines say it."`
	Version     string    `query:"version" maxLength:"256" doc:"Of the program, as the machines say it."`
	Failure     string    `query:"failure" maxLength:"64" doc:"The code of what goes wrong there now."`
	Failing     bool      `query:"failing" doc:"Something goes wrong there now."`
	Page
}

func (s *Server) listMachines(ctx context.Context, by signin.Caller, in *machinesInput) (*answer[api.Page[api.Machine]], error) {
	after, err := in.number()
	if err != nil {
		return nil, err
	}
	if s.Fleet == nil {
		return nil, ErrNoFleet
	}
	w := fleet.Which{Person: in.Person, SilentSince: in.SilentSince, EndsBefore: in.EndsBefore, System: in.System, Version: in.Version, Failure: in.Failure,
		Failing: in.Failing, After: fleet.Place{Number: after}, Limit: in.Limit}
	if w.Person == uuid.Nil && !in.All {
		w.Person = by.Actor.Person
	}
	found, err := s.Fleet.List(ctx, by.Actor, w)
	if err != nil {
		return nil, err
	}
	return pageOf(found, in.Limit, func(m *fleet.Machine) api.Machine { return MachineOf(s.Fleet, m) },
		func(m *fleet.Machine) string { return strconv.FormatInt(m.Number, 10) }), nil
}

func (s *Server) countMachines(ctx context.Context, by signin.Caller, _ *struct{}) (*answer[api.MachineSummary], error) {
	if s.Fleet == nil {
		return nil, ErrNoFleet
	}
	sum, err := s.Fleet.Summary(ctx, by.Actor)
	if err != nil {
		return nil, err
	}
	return &answer[api.MachineSummary]{*sum}, nil
}

// MachinePath names a machine. (It is exported for huma, which does not look into other embedded structs.)
type MachinePath struct {
	Machine uuid.UUID `path:"machine" doc:"The id that the program on it made."`
}

type machineInput struct {
	MachinePath
	Person uuid.UUID `query:"person" doc:"Whose; without it your own."`
}

// whose is the person that a request about a machine means.
func (in *machineInput) whose(by signin.Caller) uuid.UUID {
	if in.Person == uuid.Nil {
		return by.Actor.Person
	}
	return in.Person
}

func (s *Server) getMachine(ctx context.Context, by signin.Caller, in *machineInput) (*answer[api.Machine], error) {
	return s.machine(func(f *fleet.Fleet) (*fleet.Machine, error) { return f.Get(ctx, by.Actor, in.whose(by), in.Machine) })
}

func (s *Server) forgetMachine(ctx context.Context, by signin.Caller, in *machineInput) (*answer[api.Machine], error) {
	return s.machine(func(f *fleet.Fleet) (*fleet.Machine, error) { return f.Forget(ctx, by.Actor, in.whose(by), in.Machine) })
}

type reportInput struct {
	MachinePath
	Body api.MachineReport
}

func (s *Server) reportMachine(ctx context.Context, by signin.Caller, in *reportInput) (*answer[api.Machine], error) {
	out, err := s.machine(func(f *fleet.Fleet) (*fleet.Machine, error) { return f.Report(ctx, by.Actor, in.Machine, in.Body) })
	if out != nil {
		out.Body.Report = nil // who asks has just said it
	}
	return out, err
}

// machine does something about a machine and answers with it.
func (s *Server) machine(do func(*fleet.Fleet) (*fleet.Machine, error)) (*answer[api.Machine], error) {
	if s.Fleet == nil {
		return nil, ErrNoFleet
	}
	m, err := do(s.Fleet)
	if err != nil {
		return nil, err
	}
	return &answer[api.Machine]{MachineOf(s.Fleet, m)}, nil
}

// MachineOf is a machine as the interface shows it, for the command line too.
func MachineOf(f *fleet.Fleet, m *fleet.Machine) api.Machine {
	return api.Machine{ID: m.ID, Person: m.Person, PersonName: m.PersonName, Standing: f.Standing(m), FirstAt: m.FirstAt, LastAt: m.LastAt, ReportedAt: m.ReportedAt,
		Failure: m.Failure, EndsAt: m.EndsAt, Report: m.Report}
}

// exampleMachine fails for three days now.
var exampleMachine = func() api.Machine {
	now := exampleTime
	ends, renew, since := now.AddDate(0, 5, 0), now.AddDate(0, 2, 0), now.AddDate(0, 0, -3)
	return api.Machine{ID: exampleID, Person: exampleWho, PersonName: "Alice Anders", Standing: api.MachineFailing, FirstAt: now.AddDate(0, -7, 0), LastAt: now, ReportedAt: &now,
		Failure: "key-store", EndsAt: &ends, Report: &api.MachineReport{At: now, Name: "laptop-7", System: "linux", Architecture: "amd64", Version: "sealpost-agent/1.2.0",
			Schedule: "timer", RenewAt: &renew, Places: []api.MachinePlace{{Place: "software"}, {Place: "tpm", Code: "tpm-missing"}},
			Stores:       []api.MachineStore{{Kind: "nss", Name: "default", Code: "key-store", At: &now}},
			Certificates: []api.MachineCertificate{{Issuer: "issuing", Serial: "4f1d0c2b3a495867768594a3b2c1d0ef", Use: "signing", Place: "software", NotAfter: ends, Current: true}},
			OldKeys:      api.MachineOldKeys{Here: 3}, SucceededAt: &since, Succeeded: "renew",
			Failures: []api.MachineFailure{{Code: "key-store", Step: "fill", Detail: "The key store has a password of its own.", Since: since, At: now, Count: 3}}}}
}()

var exampleMachineSummary = api.MachineSummary{At: exampleTime, Machines: 4711, Unreported: 12, Silent: 80, SilentDays: 30, Failing: 17, Ending: 3, Ended: 1,
	Failures: []api.MachineCount{{Value: "key-store", Machines: 15}, {Value: "server-unreachable", Machines: 2}},
	Versions: []api.MachineCount{{Value: "sealpost-agent/1.2.0", Machines: 4699}},
	Systems:  []api.MachineCount{{Value: "linux", Machines: 1700}, {Value: "windows", Machines: 2999}}}
