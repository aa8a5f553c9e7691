package server

import (
	"context"
	"time"

	"github.com/sealpost/sealpost/ocsp"
	"github.com/sealpost/sealpost/web"
)

func (s *Server) openOCSP(ctx context.Context) (err error) {
	c := s.Config.OCSP
	s.OCSP, err = ocsp.New(ocsp.Config{Authority: s.Authority, Validity: time.Duration(c.Validity), MaxAge: time.Duration(c.MaxAge), Keep: c.Keep,
		Now: s.now, Log: s.Log})
	if err != nil {
		return err
	}
	return s.OCSP.Ready(ctx)
}

// ocspGauges are what monitoring is told of the OCSP responder.
func (s *Server) ocspGauges() []web.Gauge {
	read := func(what func(ocsp.Stats) float64) func(context.Context) (float64, error) {
		return func(context.Context) (float64, error) { return what(s.OCSP.Stats()), nil }
	}
	out := []web.Gauge{
		{Name: "sealpost_ocsp_kept_answers_total", Help: "OCSP answers given out from memory.", Counts: true,
			Read: read(func(st ocsp.Stats) float64 { return float64(st.Kept) })},
		{Name: "sealpost_ocsp_signatures_total", Help: "OCSP answers signed.", Counts: true,
			Read: read(func(st ocsp.Stats) float64 { return float64(st.Signed) })},
		{Name: "sealpost_ocsp_kept_certificates", Help: "Certificates whose OCSP answers are in memory.",
			Read: read(func(st ocsp.Stats) float64 { return float64(st.Entries) })},
	}
	for r := range s.OCSP.Stats().Results {
		out = append(out, web.Gauge{Name: "sealpost_ocsp_answers_total", Help: "OCSP answers, by what was told of a certificate or which error a request met.",
			Labels: map[string]string{"result": r.String()}, Counts: true, Read: read(func(st ocsp.Stats) float64 { return float64(st.Results[r]) })})
	}
	for issuer := range s.OCSP.Stats().Seen {
		labels := map[string]string{"issuer": issuer}
		out = append(out, web.Gauge{Name: "sealpost_ocsp_revocations_seen_timestamp_seconds", Help: "When the OCSP responder last knew of all revocations, Unix time; 0 before it runs.",
			Labels: labels, Read: read(func(st ocsp.Stats) float64 { return unix(st.Seen[issuer]) })},
			web.Gauge{Name: "sealpost_ocsp_certificate_end_timestamp_seconds", Help: "End of the OCSP responder's present certificate, Unix time; 0 when there is none.",
				Labels: labels, Read: read(func(st ocsp.Stats) float64 { return unix(st.Ends[issuer]) })})
	}
	return out
}

func unix(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.Unix())
}
