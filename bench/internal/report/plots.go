package report

func Plots(string) error                       { return nil }
func Publish(string, string, []Scenario) error { return nil }
