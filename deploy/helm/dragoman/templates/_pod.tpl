{{- /* The pod of one role. Takes a dict: root, role, settings. */ -}}
{{- define "dragoman.pod" -}}
{{- $root := .root -}}
{{- $settings := .settings -}}
metadata:
  labels:
    {{- include "dragoman.labels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .role }}
    {{- with $settings.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    # The accounts are read again by themselves; everything else wants a new start.
    checksum/config: {{ printf "%s%s" $root.Values.config (toYaml $root.Values.configFiles) | sha256sum }}
    {{- with $settings.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "dragoman.serviceAccount" $root }}
  automountServiceAccountToken: false
  # A Service named dragoman would otherwise become variables such as DRAGOMAN_PORT, which are settings here.
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ $settings.grace }}
  {{- with $settings.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with $root.Values.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: {{ $root.Values.user }}
    runAsGroup: {{ $root.Values.user }}
    fsGroup: {{ $root.Values.user }}
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile:
      type: RuntimeDefault
  containers:
    - name: dragoman
      image: {{ printf "%s:%s" $root.Values.image.repository ($root.Values.image.tag | default $root.Chart.AppVersion) | quote }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      command: [dragoman, run]
      args: [--data, /data, --config, /etc/dragoman/config/dragoman.toml, --role, {{ .role }}]
      env:
        {{- include "dragoman.env" . | nindent 8 }}
      {{- with $root.Values.accounts.env }}
      envFrom:
        {{- range . }}
        - secretRef:
            name: {{ . }}
        {{- end }}
      {{- end }}
      ports:
        - name: http
          containerPort: 8080
      # A process that waits for its database is not started yet, and is not to be killed for that.
      startupProbe:
        httpGet: {path: /health/live, port: http}
        periodSeconds: 2
        failureThreshold: 150
      livenessProbe:
        httpGet: {path: /health/live, port: http}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        httpGet: {path: /health/ready, port: http}
        periodSeconds: 5
        timeoutSeconds: 5
        failureThreshold: 2
      lifecycle:
        preStop:
          sleep:
            seconds: {{ $settings.preStop }}
      resources:
        {{- toYaml $settings.resources | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: [ALL]
      volumeMounts:
        - {name: data, mountPath: /data}
        - {name: tmp, mountPath: /tmp}
        - {name: config, mountPath: /etc/dragoman/config, readOnly: true}
        {{- if $root.Values.media.existingClaim }}
        - {name: media, mountPath: /data/media}
        {{- end }}
        {{- range $root.Values.accounts.files }}
        - {name: {{ printf "secret-%s" . }}, mountPath: {{ printf "/etc/dragoman/secrets/%s" . }}, readOnly: true}
        {{- end }}
  volumes:
    # What is kept is in PostgreSQL; this holds the control socket and files on their way.
    - name: data
      emptyDir: {}
    - name: tmp
      emptyDir: {}
    - name: config
      configMap:
        name: {{ include "dragoman.fullname" $root }}
    {{- with $root.Values.media.existingClaim }}
    - name: media
      persistentVolumeClaim:
        claimName: {{ . }}
    {{- end }}
    {{- range $root.Values.accounts.files }}
    - name: {{ printf "secret-%s" . }}
      secret:
        secretName: {{ . }}
    {{- end }}
  {{- if $root.Values.topologySpread.enabled }}
  topologySpreadConstraints:
    {{- range $root.Values.topologySpread.keys }}
    - maxSkew: 1
      topologyKey: {{ . }}
      whenUnsatisfiable: {{ $root.Values.topologySpread.whenUnsatisfiable }}
      labelSelector:
        matchLabels:
          {{- include "dragoman.selector" $root | nindent 10 }}
          app.kubernetes.io/component: {{ $.role }}
      matchLabelKeys: [pod-template-hash]
    {{- end }}
  {{- end }}
  {{- with $settings.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $settings.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $settings.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{- /* The settings that the chart decides, and the secrets. Of the Secret's keys only the store has to be there. */ -}}
{{- define "dragoman.env" -}}
{{- $secret := .root.Values.secret -}}
- name: DRAGOMAN_HOST
  value: 0.0.0.0
- name: DRAGOMAN_PORT
  value: "8080"
- name: DRAGOMAN_LINGER
  value: {{ .settings.linger | quote }}
{{- with include "dragoman.publicUrl" .root }}
- name: DRAGOMAN_PUBLIC_URL
  value: {{ . | quote }}
{{- end }}
{{- range $name, $key := dict "STORE" $secret.keys.store "ENCRYPTION_KEY" $secret.keys.encryptionKey "CHAT_TOKEN" $secret.keys.chatToken "METRICS_TOKEN" $secret.keys.metricsToken "CACHE__URL" $secret.keys.cache }}
- name: DRAGOMAN_{{ $name }}
  valueFrom:
    secretKeyRef:
      name: {{ $secret.name }}
      key: {{ $key }}
      {{- if ne $name "STORE" }}
      optional: true
      {{- end }}
{{- end }}
{{- range $name, $value := .root.Values.env }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end -}}
