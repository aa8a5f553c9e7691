package server

import (
	"context"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/fleet"
	"github.com/sealpost/sealpost/web"
)

// fleetTables are what monitoring is told of people's machines. Labels are bounded: codes are those that this program knows, and the versions
// the ten that most machines have.
func (s *Server) fleetTables() []web.Table {
	return []web.Table{
		{Read: s.fleetNumbers, Columns: []web.Column{
			{Name: "sealpost_fleet_machines", Help: "Machines with the agent that are known."},
			{Name: "sealpost_fleet_machines_silent", Help: "Machines that have not been heard of for fleet.silent."},
			{Name: "sealpost_fleet_machines_failing", Help: "Machines on which something goes wrong."},
			{Name: "sealpost_fleet_machines_ending", Help: "Machines whose certificates end within 14 days and that have not been heard of for 3."},
			{Name: "sealpost_fleet_machines_ended", Help: "Machines that are heard of and whose certificates have ended."}}},
		{Labels: []string{"code"}, Read: s.fleetFailures, Columns: []web.Column{
			{Name: "sealpost_fleet_failures", Help: "Machines on which something goes wrong, by its code; other for codes that this server does not know."}}},
		{Labels: []string{"version"}, Read: s.fleetVersions, Columns: []web.Column{
			{Name: "sealpost_fleet_versions", Help: "Machines by the version of the agent that they say they have, the ten that are the most; other for the rest."}}},
	}
}

// fleetGauges count contacts.
func (s *Server) fleetGauges() []web.Gauge {
	return []web.Gauge{{Name: "sealpost_fleet_contacts_total", Help: "Requests and reports that this server had from people's machines.", Counts: true,
		Read: func(context.Context) (float64, error) { return float64(s.Fleet.Contacts()), nil }}}
}

func (s *Server) fleetNumbers(ctx context.Context) ([]web.Row, error) {
	sum, err := s.Fleet.Summary(ctx, monitoring())
	if err != nil {
		return nil, err
	}
	return []web.Row{{Numbers: []float64{float64(sum.Machines), float64(sum.Silent), float64(sum.Failing), float64(sum.Ending), float64(sum.Ended)}}}, nil
}

// other is the label of what has none of its own.
const other = "other"

func (s *Server) fleetFailures(ctx context.Context) ([]web.Row, error) {
	list, err := s.Fleet.Failures(ctx, monitoring())
	return rows(list, fleet.KnownCode, 0), err
}

func (s *Server) fleetVersions(ctx context.Context) ([]web.Row, error) {
	list, err := s.Fleet.Versions(ctx, monitoring())
	return rows(list, nil, 10), err
}

// rows are counts, those that are not to have a label of their own together.
func rows(list []api.MachineCount, known func(string) bool, most int) []web.Row {
	var out []web.Row
	rest := 0.0
	for i, c := range list {
		if c.Value == "" || known != nil && !known(c.Value) || most > 0 && i >= most {
			rest += float64(c.Machines)
			continue
		}
		out = append(out, web.Row{Labels: []string{c.Value}, Numbers: []float64{float64(c.Machines)}})
	}
	return append(out, web.Row{Labels: []string{other}, Numbers: []float64{rest}})
}
