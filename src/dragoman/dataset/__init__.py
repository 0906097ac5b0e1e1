"""The synthetic benchmark of `dragoman synth`: public CVE descriptions and generated payloads."""
