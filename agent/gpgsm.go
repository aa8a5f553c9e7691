package agent

type GPGSM struct {
	Home  string `json:"home,omitempty"`
	Trust bool   `json:"trust,omitempty"`
}
