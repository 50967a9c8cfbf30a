{{- define "dragoman.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains "dragoman" .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-dragoman" (.Release.Name | trunc 41 | trimSuffix "-") -}}
{{- end -}}
{{- end -}}

{{- define "dragoman.selector" -}}
app.kubernetes.io/name: dragoman
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "dragoman.labels" -}}
{{ include "dragoman.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "dragoman.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (ternary (include "dragoman.fullname" .) "default" .Values.serviceAccount.create) -}}
{{- end -}}

{{- /* The Deployments that there are, and the role of the one that platforms reach. */ -}}
{{- define "dragoman.roles" -}}
{{- ternary "gateway,engine,connector" "all" .Values.split -}}
{{- end -}}

{{- define "dragoman.door" -}}
{{- ternary "gateway" "all" .Values.split -}}
{{- end -}}

{{- define "dragoman.publicUrl" -}}
{{- if .Values.publicUrl -}}
{{- .Values.publicUrl -}}
{{- else if and .Values.ingress.enabled .Values.ingress.host -}}
{{- printf "%s://%s" (ternary "https" "http" (ne .Values.ingress.tlsSecret "")) .Values.ingress.host -}}
{{- end -}}
{{- end -}}

{{- /* What a role says, over what all say: YAML to be read by fromYaml. */ -}}
{{- define "dragoman.settings" -}}
{{- mergeOverwrite (deepCopy .root.Values.defaults) (deepCopy (index .root.Values .role)) | toYaml -}}
{{- end -}}
