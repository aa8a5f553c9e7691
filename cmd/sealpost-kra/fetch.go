package main

import (
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/delivery"
	"github.com/sealpost/sealpost/internal/fault"
)

func (t *tool) fetchCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "fetch CASE FOLDER",
		Short: "Put a case into a folder, for an officer whose machine has no network",
		Long: `Fetches a case by its id from the server into a folder, on a stick or a shared drive, with what shows that it is in the audit log. An
officer who has answered before needs the proof that the log continues what they saw: "log show" tells them the number of events,
which goes to --seen; what officers have countersigned is proven anyway. A folder that is there already is brought up to date.`,
		Example: `  sealpost-kra fetch 0195f2c4-7c1e-7000-8000-5f3a9e1b2c4d /media/stick/case --seen 4711`,
		Args:    cobra.ExactArgs(2),
	}
	seen := c.Flags().Int64Slice("seen", nil, "how many events of the audit log the officer has seen; may be repeated")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := uuid.Parse(args[0])
		if err != nil {
			return errors.New("name the case by its id")
		}
		server, err := t.online(cmd)
		if err != nil {
			return err
		}
		f, err := server.Fetch(cmd.Context(), id, args[1], newProgress(cmd.ErrOrStderr(), "Fetching records").report)
		if err != nil {
			return err
		}
		if err := server.FetchLog(cmd.Context(), id, f, *seen...); err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "The case is in %s. When it comes back with an answer: sealpost-kra send %[1]s\n", args[1])
		return err
	}
	return c
}

func (t *tool) sendCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "send FOLDER",
		Short: "Bring the answers in a case's folder to the server",
		Long:  `Sends every officer's answer that lies in the folder, and what they countersigned of the audit log. Sending one again changes nothing.`,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f := delivery.Open(args[0])
			k, err := f.Case()
			if err != nil {
				return err
			}
			answers, err := f.Answers()
			if err != nil {
				return err
			}
			checkpoints, err := f.Checkpoints()
			if err != nil {
				return err
			}
			server, err := t.online(cmd)
			if err != nil {
				return err
			}
			for _, x := range checkpoints {
				if err := server.SendCheckpoint(cmd.Context(), x.Note); err != nil {
					fmt.Fprintf(cmd.ErrOrStderr(), "LOOK INTO THIS: %s was not sent.\n", x.File)
					if !errors.Is(err, fault.Malformed) {
						return err
					}
				}
			}
			for _, a := range answers {
				if a.Err != nil {
					return a.Err
				}
				after, err := server.Send(cmd.Context(), k.ID, a.Answer)
				if err != nil {
					return fmt.Errorf("%s: %w", a.File, err)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "The server has %s. The case is %s.\n", a.File, after.State)
			}
			return nil
		},
	}
}
