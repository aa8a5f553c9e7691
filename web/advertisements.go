package web

import (
	"context"
	"encoding/hex"
	"net/http"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/cms"
	"github.com/sealpost/sealpost/gal"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/web/signin"
)

func (s *Server) advertisementOperations() {
	register(s, operation{id: "advertise", method: http.MethodPost, path: "/advertisements", tag: tagEnrol, who: enrolling,
		summary: "Hand in what your directory entry says about you",
		about: "Only your own program can say, with your signature, which ciphers it reads and which of your certificates to encrypt to. The policy " +
			"names under `advertise` the certificates for which that is wanted. The answer comes when it is kept; the entry shows it a moment later, " +
			"in place of an older one for the same certificate. The same again changes nothing.",
		faults: []*fault.Error{gal.ErrNotWanted, gal.ErrAdvertisement, cms.ErrMalformed, cms.ErrTooLarge, cms.ErrUnsupported, cms.ErrVerify},
		body:   api.Advertisement{Value: exampleDER}, answer: exampleAdvertised}, s.advertise)
}

type advertisementInput struct{ Body api.Advertisement }

func (s *Server) advertise(ctx context.Context, by signin.Caller, in *advertisementInput) (*answer[api.Advertised], error) {
	if s.GAL == nil {
		return nil, gal.ErrNotWanted
	}
	a, err := s.GAL.Advertise(ctx, by.Actor, in.Body.Value)
	if err != nil {
		return nil, err
	}
	return &answer[api.Advertised]{api.Advertised{Encryption: nameOf(a.Encryption), Signing: nameOf(a.Signer), SHA256: hex.EncodeToString(a.SHA256[:])}}, nil
}

// wanted returns the certificates for which somebody's program should hand in a value.
func (s *Server) wanted(ctx context.Context, by signin.Caller) ([]api.CertificateName, error) {
	if s.GAL == nil {
		return nil, nil
	}
	list, err := s.GAL.Unadvertised(ctx, by.Actor.Person)
	if err != nil {
		return nil, err
	}
	var out []api.CertificateName
	for _, c := range list {
		out = append(out, nameOf(c))
	}
	return out, nil
}

func nameOf(c ca.Certificate) api.CertificateName {
	return api.CertificateName{Issuer: c.Issuer, Serial: c.Serial.String()}
}

var exampleAdvertised = api.Advertised{Encryption: api.CertificateName{Issuer: "issuing", Serial: "5b1d0c2b3a495867768594a3b2c1d0ef"},
	Signing: api.CertificateName{Issuer: "issuing", Serial: "4f1d0c2b3a495867768594a3b2c1d0ef"}, SHA256: exampleHash}
