package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/client"
)

// statusCommand tells what is on this machine.
func statusCommand(s *session) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show what this machine has, without asking the server",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			settings, _, err := s.settings()
			if errors.Is(err, errNotSetUp) {
				return s.showStatus(nil, nil, nil)
			}
			if err != nil {
				return err
			}
			a, err := s.agent(settings, client.Config{})
			if err != nil {
				return err
			}
			ids, err := a.Identities()
			if err != nil {
				return err
			}
			begun, err := a.Begun()
			if err != nil {
				return err
			}
			restores, err := a.BegunRestores()
			if err != nil {
				return err
			}
			return s.showStatus(ids, begun, restores)
		},
	}
}
