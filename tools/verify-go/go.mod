module hotline111.example/verify-go

go 1.27.0

require golang.org/x/mod v0.43.0
